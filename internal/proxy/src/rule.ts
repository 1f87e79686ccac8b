/** A fault that waits for its frame. */
import type { Action } from './action.js'
import { Deferred } from './deferred.js'
import type { Direction, Frame } from './frame.js'
import type { Framing } from './framing.js'
import { ProxyError } from './proxy-error.js'

/**
 * Which frame: its direction, its name or a pattern for its text, and which one of those since the rule was added. The first
 * unless said.
 *
 * @example
 * { request: 'EndTxn' }; { request: /^commit/i }; { answer: 'EVAL', nth: 3 }; { answer: 'Produce', nth: 'every' }
 */
export type Match = { readonly nth?: number | 'every' } & (
  | { readonly request: string | RegExp; readonly answer?: never }
  | { readonly answer: string | RegExp; readonly request?: never }
)

export interface Rule<Fired extends Frame = Frame> extends Disposable {
  /**
   * The first frame that it fired for, when the fault has been done.
   * @throws ProxyError PROXY_RULE_REMOVED
   */
  readonly fired: Promise<Fired>
  /** All of them so far: a rule for every frame fires more than once. */
  readonly frames: readonly Fired[]
  /** From now on its frames pass. Safe to call twice. */
  remove(): void
}

export class ActiveRule implements Rule {
  readonly action: Action
  readonly frames: Frame[] = []
  readonly #direction: Direction
  readonly #wanted: string | RegExp
  readonly #nth: number | 'every'
  readonly #fired = new Deferred<Frame>()
  readonly #forget: (rule: ActiveRule) => void
  #matches = 0

  /** @throws ProxyError PROXY_RULE_INVALID */
  constructor(match: Match, action: Action, framing: Framing, forget: (rule: ActiveRule) => void) {
    this.action = action
    this.#direction = match.request === undefined ? 'answer' : 'request'
    this.#wanted = match.request ?? match.answer
    this.#nth = match.nth ?? 1
    this.#forget = forget
    if (typeof this.#wanted === 'string' && !framing.knows(this.#wanted))
      throw invalid(`${framing.protocol} has no ${this.#direction} named ${this.#wanted}`)
    if (this.#nth !== 'every' && !(Number.isInteger(this.#nth) && this.#nth > 0))
      throw invalid(`nth is ${this.#nth}: a whole number from 1, or 'every'`)
    if (typeof action === 'object' && !(action.delayMs >= 0 && action.delayMs <= delayMsMax))
      throw invalid(`delayMs is ${action.delayMs}: from 0 to ${delayMsMax}`)
  }

  get fired(): Promise<Frame> {
    return this.#fired.promise
  }

  /** Counts the frame if it is one of its own; true when it is the one. */
  claims({ direction, name, text }: Frame): boolean {
    if (direction !== this.#direction) return false
    const wanted = this.#wanted
    // A pattern with the flag g would remember where its last match ended.
    if (typeof wanted === 'string' ? name !== wanted : text.search(wanted) === -1) return false
    this.#matches += 1
    return this.#nth === 'every' || this.#nth === this.#matches
  }

  fire(frame: Frame): void {
    this.frames.push(frame)
    this.#fired.resolve(frame)
  }

  remove(): void {
    this.#forget(this)
    this.#fired.reject(new ProxyError('PROXY_RULE_REMOVED', 'the rule was removed before it fired'))
  }

  [Symbol.dispose](): void {
    this.remove()
  }
}

const delayMsMax = 600_000

const invalid = (message: string): ProxyError => new ProxyError('PROXY_RULE_INVALID', message)
