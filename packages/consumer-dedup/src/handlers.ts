import { OutboxError } from '@oncebox/core'
import type { AnyBatchHandler, AnyHandler, ConsumedEvent } from './event.js'

/** The handlers of a consumer: one for each event type, or one for batches of all types. */
export class Handlers<Context> {
  readonly #byType = new Map<string, AnyHandler<Context>>()
  #ofBatches: AnyBatchHandler<Context> | undefined

  /** Whether there is one for whole batches. */
  get takesBatches(): boolean {
    return this.#ofBatches !== undefined
  }

  get isEmpty(): boolean {
    return this.#byType.size === 0 && !this.takesBatches
  }

  has(type: string): boolean {
    return this.takesBatches || this.#byType.has(type)
  }

  /** @throws OutboxError CONSUMER_OPTIONS_INVALID */
  set(type: string, handler: AnyHandler<Context>): void {
    if (this.takesBatches) throw invalid('onBatch() handles every event: on() has nothing left')
    if (this.#byType.has(type)) throw invalid(`${JSON.stringify(type)} has a handler already`)
    this.#byType.set(type, handler)
  }

  /** @throws OutboxError CONSUMER_OPTIONS_INVALID */
  setForBatches(handler: AnyBatchHandler<Context>): void {
    if (!this.isEmpty) throw invalid('onBatch() handles every event: it is called once, and without on()')
    this.#ofBatches = handler
  }

  /** One event, alone. */
  async run(event: ConsumedEvent, context: Context): Promise<void> {
    // The registries are keyed by type, and `on` and `onBatch` have tied the types to the handler's events.
    const typed = event as ConsumedEvent<never, never>
    if (this.#ofBatches !== undefined) await this.#ofBatches([typed], context)
    else await this.#byType.get(event.type)?.(typed, context)
  }

  /** Events of one batch handler at once. Only when there is one. */
  async runTogether(events: readonly ConsumedEvent[], context: Context): Promise<void> {
    await this.#ofBatches?.(events as readonly ConsumedEvent<never, never>[], context) // as above
  }
}

const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
