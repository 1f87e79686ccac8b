import { channels, faultPoint } from '@oncebox/core'
import type { Confirmation } from './confirmation.js'
import { Demand } from './demand.js'
import type { PublishShardRequest } from './publish-shard.js'

/** Proves what a shard has published when rotation demands it, beside publishing, which never waits for it. */
export class Prover {
  readonly #request: PublishShardRequest
  readonly #confirmation: Confirmation
  readonly #demand: Demand
  readonly #ending = new AbortController()
  #proving: Promise<void> | undefined

  constructor(request: PublishShardRequest, confirmation: Confirmation) {
    this.#request = request
    this.#confirmation = confirmation
    this.#demand = request.demand ?? new Demand()
  }

  /** Rotation waits, and there is nothing to prove: an empty window is to be published. */
  get wantsMore(): boolean {
    return this.#demand.isRaised && !this.#confirmation.isBehind
  }

  /** Begins to prove when rotation waits and there is something to prove. */
  proveOnDemand(): void {
    if (this.#demand.isRaised && this.#confirmation.isBehind) this.prove()
  }

  /** The next window record carries what is confirmed by it. */
  prove(): void {
    if (this.#proving !== undefined) return
    this.#demand.answer()
    this.#proving = this.#prove().finally(() => (this.#proving = undefined))
  }

  async end(): Promise<void> {
    this.#ending.abort()
    await this.#proving
  }

  async #prove(): Promise<void> {
    const { observer, wakeup, open, options } = this.#request
    try {
      await this.#confirmation.prove(this.#ending.signal)
      await faultPoint('relay.confirmation.proven')
      wakeup.wake()
    } catch (error) {
      if (this.#ending.signal.aborted) return
      observer.unconfirmed(error)
      channels.relayUnconfirmed.publish({ relay: options.name, shard: open.shard, error })
    }
  }
}
