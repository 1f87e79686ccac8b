import { channels } from '@oncebox/core'
import type { WakeSignal } from './wake-signal.js'

export interface WakeupOptions {
  /** The first wait after something was found, milliseconds. */
  readonly idleMsMin: number
  /** The longest wait: the bound on the delay that polling adds. */
  readonly idleMsMax: number
}

// After something was found, so many polls stay as close together as the first. Doubling at once, a trickle of 200/s is
// looked for every 1, 2, 4 ms; like this every 1 ms, for hardly more polls, as each event starts the row anew.
const eagerPolls = 8

/**
 * When to look again: after something was found soon, then waits double while nothing is, from idleMsMin to idleMsMax. A
 * commit by an outbox in the same process ends the wait at once, and so does a notification of the database, where
 * somebody listens.
 */
export class Wakeup implements Disposable {
  readonly #options: WakeupOptions
  readonly #signal: WakeSignal | undefined
  #polls = 0
  #delayMs = 0
  #wake: (() => void) | undefined
  /** A commit that came while nobody waited. */
  #missed = false
  readonly #onCommitted = (): void => this.wake()

  constructor(options: WakeupOptions, signal?: WakeSignal) {
    this.#options = options
    this.#signal = signal
    channels.outboxCommitted.subscribe(this.#onCommitted)
    signal?.on(this.#onCommitted)
  }

  /** Ends the wait, or the next one, at once. */
  wake(): void {
    this.reset()
    if (this.#wake === undefined) this.#missed = true
    else this.#wake()
  }

  /** Something was found: the next waits are the shortest again. */
  reset(): void {
    this.#polls = 0
    this.#delayMs = 0
  }

  /** Resolves when it is time to look, or when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    const delayMs = this.#nextDelayMs()
    if (this.#missed || signal.aborted) {
      this.#missed = false
      return
    }
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(done, delayMs)
      signal.addEventListener('abort', done, { once: true })
      this.#wake = done
    })
  }

  [Symbol.dispose](): void {
    channels.outboxCommitted.unsubscribe(this.#onCommitted)
    this.#signal?.off(this.#onCommitted)
    this.#wake?.()
  }

  #nextDelayMs(): number {
    const { idleMsMin, idleMsMax } = this.#options
    const doubled = this.#polls++ < eagerPolls ? idleMsMin : Math.max(1, this.#delayMs * 2)
    return (this.#delayMs = Math.min(idleMsMax, Math.max(idleMsMin, doubled)))
  }
}
