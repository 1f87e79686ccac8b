import { LinkedSignal } from '@oncebox/core'
import type { ConsumedRecord, FetchedBatch } from '@oncebox/kafka'
import type { PartitionEffects } from '../modes/partition-effects.js'
import type { ResolvedCommonOptions } from '../resolved-options.js'
import { positionLost, type PartitionKey } from '../positions/position-store.js'
import type { BatchRunner } from './batch-runner.js'
import type { EventRunner } from './event-runner.js'
import { KeyOrder } from './key-order.js'

export interface Runners<Context> {
  readonly events: EventRunner<Context>
  readonly batches: BatchRunner<Context>
  /** Events that are handled in one step. */
  readonly eventsTogetherMax: number
  /** Events with different keys that run at once, of one partition. */
  readonly keysInParallel: number
}

/** When the position is due to be written inside a batch. */
class Pace {
  readonly #every: ResolvedCommonOptions['position']
  #events = 0
  #since = performance.now()

  constructor(every: ResolvedCommonOptions['position']) {
    this.#every = every
  }

  /** @param events So many more have ended. */
  isDue(events: number): boolean {
    this.#events += events
    const now = performance.now()
    if (this.#events < this.#every.eventsMax && now - this.#since < this.#every.intervalMs) return false
    this.#events = 0
    this.#since = now
    return true
  }
}

/**
 * One assigned partition with a known position. Everything in memory here is worth only as much as its last compare
 * and set: any doubt, and the owner throws this object away and reads the position again.
 */
export class Partition<Context> {
  readonly effects: PartitionEffects<Context>
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  readonly #options: Pick<ResolvedCommonOptions, 'position' | 'tiers'>
  readonly #runners: Runners<Context>
  readonly #aloneUntil: bigint
  #next: bigint

  constructor(
    options: Pick<ResolvedCommonOptions, 'position' | 'tiers'>,
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
   * @param stopping Aborted when it is asked to stop for good.
   * @throws the abort reason, or an OutboxError that says why the position has to be read again
   */
  async handle(batch: FetchedBatch, isStopping: () => boolean, stopping: AbortSignal): Promise<void> {
    if (batch.fetchedOffset !== this.#next) throw positionLost(this.key, this.#next)
    this.signal.throwIfAborted()
    if (batch.records.length > 0) await this.#handle(batch, isStopping, stopping)
    else this.#next = batch.nextOffset
    await this.effects.pass(this.#next, this.#next)
  }

  async #handle(
    { records, nextOffset }: FetchedBatch,
    isStopping: () => boolean,
    stopping: AbortSignal,
  ): Promise<void> {
    await this.effects.begin(nextOffset)
    try {
      if (await this.#handleAll(records, nextOffset, isStopping, stopping)) this.#next = nextOffset
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
    stopping: AbortSignal,
  ): Promise<boolean> {
    const pace = new Pace(this.#options.position)
    for (let at = 0; at < records.length;) {
      await this.effects.room?.(stopping)
      if (isStopping()) return false
      const isAlone = (records[at]?.offset ?? 0n) < this.#aloneUntil
      if (this.#runners.keysInParallel > 1 && !isAlone)
        return await this.#handleInParallel(records.slice(at), end, isStopping, pace)
      const handled = await this.#handleSome(records, at, end)
      at += handled
      if (pace.isDue(handled)) await this.effects.pass(this.#next, end)
    }
    return true
  }

  /**
   * Events with different keys at once. The position passes what has ended up to the first that has not. Whatever goes wrong,
   * nothing is running any more when this has returned.
   */
  async #handleInParallel(
    records: readonly ConsumedRecord[],
    end: bigint,
    isStopping: () => boolean,
    pace: Pace,
  ): Promise<boolean> {
    const { events, keysInParallel } = this.#runners
    const order = new KeyOrder(
      records.map(({ key }) => key?.toString('latin1') ?? null),
      keysInParallel,
    )
    using failing = new LinkedSignal(this.signal)
    const { signal } = failing
    const running = new Set<Promise<void>>()
    let ended = 0
    const run = async (index: number, record: ConsumedRecord): Promise<void> => {
      try {
        await events.run(this.effects, record, { alone: false, signal })
        order.end(index)
        ended += 1
      } catch (error) {
        failing.abort(error) // the first one counts
      }
    }
    const begin = (): void => {
      while (running.size < keysInParallel && !signal.aborted) {
        const index = order.take(isStopping())
        const record = index === undefined ? undefined : records[index]
        if (index === undefined || record === undefined) return
        const task = run(index, record).finally(() => running.delete(task))
        running.add(task)
      }
    }
    const follow = (): void => {
      const last = records[order.prefix - 1]
      if (last !== undefined) this.#next = last.offset + 1n
    }
    for (begin(); running.size > 0; begin()) {
      await Promise.race(running)
      follow()
      const isDue = pace.isDue(ended)
      ended = 0
      if (isDue && !signal.aborted)
        await this.effects.pass(this.#next, end).catch((error: unknown) => failing.abort(error))
    }
    follow() // what has ended while the position was written
    signal.throwIfAborted()
    return order.prefix === records.length
  }

  /** Together where that is possible, else one. */
  async #handleSome(records: readonly ConsumedRecord[], at: number, end: bigint): Promise<number> {
    const { events, batches, eventsTogetherMax } = this.#runners
    const isRetried = this.#options.tiers?.of(this.key.topic) !== undefined
    const first = records[at]
    if (first === undefined) return 1
    const alone = first.offset < this.#aloneUntil
    if (!alone && !isRetried && eventsTogetherMax > 1 && first.offset >= this.#oneByOneUntil) {
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
