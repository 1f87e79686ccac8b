/** What all connections of a proxy go through: latency, and the black hole that swallows without closing. */
import { setTimeout as delay } from 'node:timers/promises'
import { Deferred } from './deferred.js'
import { unlessGone } from './unless-gone.js'

export class Weather {
  #latencyMs = 0
  #healed: Deferred<void> | undefined

  setLatency(ms: number): void {
    this.#latencyMs = ms
  }

  blackhole(): void {
    this.#healed ??= new Deferred()
  }

  heal(): void {
    this.#healed?.resolve()
    this.#healed = undefined
  }

  /** Resolves when a chunk that has arrived may go on; rejects when its connection ends first. */
  async pass(signal: AbortSignal): Promise<void> {
    if (this.#latencyMs > 0) await delay(this.#latencyMs, undefined, { signal })
    while (this.#healed !== undefined) await unlessGone(this.#healed.promise, signal)
  }
}
