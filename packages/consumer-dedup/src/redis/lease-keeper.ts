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
  #extending: Promise<void> | undefined
  // A hint only: whose claim it is, Redis decides by its own clock.
  #heldUntil: number

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    this.#heldUntil = performance.now() + options.leaseMs
    this.#schedule()
  }

  /** Aborted when somebody else may have the claim. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Resolves when no extension is on its way any more. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#extending
  }

  #schedule(): void {
    // Twice before the lease ends: one answer may get lost.
    this.#timer = setTimeout(() => {
      this.#extending = this.#extend()
    }, this.#options.leaseMs / 3)
  }

  async #extend(): Promise<void> {
    const sentAt = performance.now()
    try {
      await this.#options.extend()
      this.#heldUntil = sentAt + this.#options.leaseMs
    } catch (error) {
      const isOver = !OutboxError.is(error, 'CONSUMER_REDIS_UNAVAILABLE')
      if (isOver || performance.now() >= this.#heldUntil) {
        this.#lost.abort(error)
        return
      }
    }
    if (this.#timer !== undefined) this.#schedule()
  }
}
