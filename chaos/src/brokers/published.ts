import { channels } from '@oncebox/core'

/** Follows a relay by its diagnostics channels. */
export class Published implements Disposable {
  readonly #relay: string
  readonly #waiting = new Set<() => void>()
  #events = 0
  #reopened = 0

  constructor(relay: string) {
    this.#relay = relay
    channels.relayPublished.subscribe(this.#onPublished)
    channels.relayReopening.subscribe(this.#onReopening)
  }

  /** Events published so far. */
  get events(): number {
    return this.#events
  }

  /** How often the relay gave a session up and opened another one. */
  get reopened(): number {
    return this.#reopened
  }

  /** Resolves when so many events are published. */
  async until(events: number, signal: AbortSignal): Promise<void> {
    while (this.#events < events) {
      signal.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const done = (): void => {
          this.#waiting.delete(done)
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        const onAbort = (): void => {
          this.#waiting.delete(done)
          reject(signal.reason as Error)
        }
        this.#waiting.add(done)
        signal.addEventListener('abort', onAbort, { once: true })
      })
    }
  }

  [Symbol.dispose](): void {
    channels.relayPublished.unsubscribe(this.#onPublished)
    channels.relayReopening.unsubscribe(this.#onReopening)
  }

  readonly #onPublished = (message: unknown): void => {
    const { relay, events } = message as { relay: string; events: number } // as documented for the channel
    if (relay !== this.#relay) return
    this.#events += events
    for (const wake of this.#waiting) wake()
  }

  readonly #onReopening = (message: unknown): void => {
    if ((message as { relay: string }).relay === this.#relay) this.#reopened++ // as documented for the channel
  }
}
