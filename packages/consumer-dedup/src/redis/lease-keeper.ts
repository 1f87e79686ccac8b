import { OutboxError } from '@oncebox/core'

export interface LeaseKeeperOptions {
  readonly leaseMs: number
  /** Rejects with CONSUMER_CLAIM_LOST when the claim is not ours any more. */
  readonly extend: () => Promise<void>
}

/** Extends the lease of a claim while its handler runs, and tells the handler when that fails for good. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  readonly #lost = new AbortController()
  #timer: NodeJS.Timeout | undefined
  // A hint only: whose claim it is, Redis decides by its own clock.
  #end: NodeJS.Timeout | undefined
  #extending: Promise<void> | undefined

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    this.#holdUntil(performance.now() + options.leaseMs)
    this.#schedule()
  }

  /** Aborted when somebody else may have the claim. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Resolves when no extension is on its way any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    clearTimeout(this.#end)
    this.#timer = undefined
    await this.#extending
  }

  #schedule(): void {
    // Twice before the lease ends: one answer may get lost.
    this.#timer = setTimeout(() => {
      this.#extending = this.#extend()
    }, this.#options.leaseMs / 3)
  }

  /** An answer that does not come must not keep the handler from being told. */
  #holdUntil(endsAt: number): void {
    clearTimeout(this.#end)
    this.#end = setTimeout(() => this.#lost.abort(ended()), endsAt - performance.now())
  }

  async #extend(): Promise<void> {
    const sentAt = performance.now()
    try {
      await this.#options.extend()
    } catch (error) {
      if (!OutboxError.is(error, 'CONSUMER_REDIS_UNAVAILABLE')) return this.#lost.abort(error)
      if (this.#timer !== undefined) this.#schedule()
      return
    }
    if (this.#timer === undefined) return
    this.#holdUntil(sentAt + this.#options.leaseMs)
    this.#schedule()
  }
}

const ended = (): OutboxError =>
  new OutboxError('CONSUMER_CLAIM_LOST', 'the lease has run out: Redis has not answered that it is extended')
