/** Takes the frames of one direction through the rules. */
import { setTimeout as delay } from 'node:timers/promises'
import { passing, planOf, type Plan } from './action.js'
import type { Piece } from './decoder.js'
import type { Frame } from './frame.js'
import type { Lane } from './lane.js'
import { ProxyError } from './proxy-error.js'
import type { ActiveRule } from './rule.js'
import type { Rules } from './rules.js'

/** What the connection does for its passages. */
export interface PassageParts {
  readonly lane: Lane
  readonly rules: Rules
  readonly signal: AbortSignal
  /** A frame is about to be written. */
  readonly onSending: (frame: Frame) => void
  /** Resets both sides. */
  readonly cut: () => void
  /** Resets the sender and leaves the receiver what it was sent. */
  readonly cutBehind: () => Promise<void>
  readonly deliver: (frame: Frame, bytes: Buffer, copied: boolean) => Promise<Buffer | undefined>
}

interface Current {
  readonly frame: Frame
  readonly rule: ActiveRule | undefined
  readonly plan: Plan
  readonly kept: Buffer[]
  keptBytes: number
  leave: () => void
}

const keptBytesMax = 268_435_456

export class Passage {
  readonly #parts: PassageParts
  #current: Current | undefined

  constructor(parts: PassageParts) {
    this.#parts = parts
  }

  async take(piece: Piece): Promise<void> {
    if (piece.kind === 'begin') await this.#begin(piece.frame)
    else if (this.#current === undefined) throw new Error('a frame begins before it goes on')
    else if (piece.kind === 'bytes') await this.#continue(this.#current, piece.bytes)
    else await this.#end(this.#current)
  }

  async #begin(frame: Frame): Promise<void> {
    const { lane, rules, signal, onSending, cut } = this.#parts
    const rule = rules.claim(frame)
    const plan = rule === undefined ? passing : planOf(rule.action)
    const current: Current = { frame, rule, plan, kept: [], keptBytes: 0, leave: () => undefined }
    this.#current = current
    if (plan.delayMs > 0) await delay(plan.delayMs, undefined, { signal })
    if (plan.cut === 'before') {
      cut()
      rule?.fire(frame)
    } else if (plan.pass) {
      current.leave = await lane.enter()
      onSending(frame)
    }
  }

  async #continue(current: Current, bytes: Buffer): Promise<void> {
    if (current.plan.keep) {
      current.keptBytes += bytes.length
      if (current.keptBytes > keptBytesMax)
        throw new ProxyError(
          'PROXY_FRAME_TOO_LARGE',
          `a ${current.frame.name} of more than ${keptBytesMax} bytes`,
        )
      current.kept.push(bytes)
    }
    if (current.plan.pass) await this.#parts.lane.write(bytes)
  }

  async #end({ frame, rule, plan, kept, leave }: Current): Promise<void> {
    this.#current = undefined
    leave()
    if (plan.cut === 'after') await this.#parts.cutBehind()
    if (!plan.keep) {
      rule?.fire(frame)
      return
    }
    const bytes = Buffer.concat(kept)
    const held = { ...frame, bytes, deliver: () => this.#parts.deliver(frame, bytes, plan.pass) }
    rule?.fire(held)
  }
}
