import type { ConsumedRecord, FetchedBatch } from '@oncebox/kafka'
import type { PartitionEffects } from '../modes/partition-effects.js'
import type { ResolvedCommonOptions } from '../options.js'
import { positionLost, type PartitionKey } from '../positions/position-store.js'
import type { BatchRunner } from './batch-runner.js'
import type { EventRunner } from './event-runner.js'

export interface Runners<Context> {
  readonly events: EventRunner<Context>
  readonly batches: BatchRunner<Context>
  /** Events that are handled in one step. */
  readonly eventsTogetherMax: number
}

/**
 * One assigned partition with a known position. Everything in memory here is worth only as much as its last compare
 * and set: any doubt, and the owner throws this object away and reads the position again.
 */
export class Partition<Context> {
  readonly effects: PartitionEffects<Context>
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  readonly #options: Pick<ResolvedCommonOptions, 'position'>
  readonly #runners: Runners<Context>
  readonly #aloneUntil: bigint
  #next: bigint

  constructor(
    options: Pick<ResolvedCommonOptions, 'position'>,
    runners: Runners<Context>,
    effects: PartitionEffects<Context>,
  ) {
    this.signal = this.#controller.signal
    this.#options = options
    this.#runners = runners
    this.effects = effects
    this.#aloneUntil = effects.aloneUntil
    this.#next = effects.next
  }

  get key(): PartitionKey {
    return this.effects.key
  }

  /** The next offset to handle. */
  get next(): bigint {
    return this.#next
  }

  /** Gives up what is in hand: handlers see their signal aborted. */
  abort(reason: Error): void {
    this.#controller.abort(reason)
  }

  /**
   * Handles a batch that was fetched at this partition's position. Where there is nothing to see, markers and aborted
   * transactions, the position passes.
   *
   * @param isStopping Stop before the next event, in good order.
   * @throws the abort reason, or an OutboxError that says why the position has to be read again
   */
  async handle(batch: FetchedBatch, isStopping: () => boolean): Promise<void> {
    if (batch.fetchedOffset !== this.#next) throw positionLost(this.key, this.#next)
    this.signal.throwIfAborted()
    if (batch.records.length > 0) await this.#handle(batch, isStopping)
    else this.#next = batch.nextOffset
    await this.effects.pass(this.#next, this.#next)
  }

  async #handle({ records, nextOffset }: FetchedBatch, isStopping: () => boolean): Promise<void> {
    await this.effects.begin(nextOffset)
    try {
      if (await this.#handleAll(records, nextOffset, isStopping)) this.#next = nextOffset
    } catch (error) {
      // Given up in good order: what is done is recorded, and nobody died over the rest.
      if (this.signal.aborted && error === this.signal.reason) await this.effects.pass(this.#next, this.#next)
      throw error
    }
  }

  /** Whether all were handled; false when it was asked to stop. */
  async #handleAll(
    records: readonly ConsumedRecord[],
    end: bigint,
    isStopping: () => boolean,
  ): Promise<boolean> {
    const { eventsMax, intervalMs } = this.#options.position
    let events = 0
    let since = performance.now()
    for (let at = 0; at < records.length;) {
      if (isStopping()) return false
      const handled = await this.#handleSome(records, at, end)
      at += handled
      events += handled
      if (events >= eventsMax || performance.now() - since >= intervalMs) {
        await this.effects.pass(this.#next, end)
        events = 0
        since = performance.now()
      }
    }
    return true
  }

  /** Together where that is possible, else one. */
  async #handleSome(records: readonly ConsumedRecord[], at: number, end: bigint): Promise<number> {
    const { events, batches, eventsTogetherMax } = this.#runners
    const first = records[at]
    if (first === undefined) return 1
    const alone = first.offset < this.#aloneUntil
    if (!alone && eventsTogetherMax > 1 && first.offset >= this.#oneByOneUntil) {
      const together = records.slice(at, at + eventsTogetherMax)
      // Behind the last one of the batch there may be markers: the position passes them with it.
      const next = at + together.length === records.length ? end : (together.at(-1)?.offset ?? 0n) + 1n
      if (await batches.run(this.effects, together, next, this.signal)) {
        this.#next = next
        return together.length
      }
      this.#oneByOneUntil = next
    }
    await events.run(this.effects, first, { alone, signal: this.signal })
    this.#next = first.offset + 1n
    return 1
  }

  /** Events below it failed together: they run one by one. */
  #oneByOneUntil = 0n
}
