import { report } from '../drained.js'
import type { ConsumerDrain } from './settings.js'

/** Counts what was committed. The clock runs from the end of the warm-up to the first commit that completes the events. */
export class EffectClock {
  readonly #drain: Pick<ConsumerDrain, 'events' | 'warmUpEvents'>
  readonly #ended: () => void
  /** Resolves when everything was committed. */
  readonly end: Promise<void>
  #done = 0
  #started: { readonly ms: number; readonly cpu: NodeJS.CpuUsage; readonly done: number } | undefined
  #isOver = false

  constructor(drain: Pick<ConsumerDrain, 'events' | 'warmUpEvents'>) {
    this.#drain = drain
    let ended: () => void = () => undefined
    this.end = new Promise((resolve) => (ended = resolve))
    this.#ended = ended
  }

  /** So many effects have been committed. */
  add(effects: number): void {
    const { warmUpEvents, events } = this.#drain
    this.#done += effects
    if (this.#isOver) return
    if (this.#started === undefined) {
      if (this.#done >= warmUpEvents)
        this.#started = { ms: performance.now(), cpu: process.cpuUsage(), done: this.#done }
      return
    }
    const measured = this.#done - this.#started.done
    if (measured < events) return
    this.#isOver = true
    report(measured, this.#started.ms, this.#started.cpu)
    this.#ended()
  }
}
