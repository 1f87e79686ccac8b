import { faultPoint } from '@oncebox/core'
import type { ConsumedRecord, FetchedBatch } from '@oncebox/kafka'
import type { KnownAttempts } from './attempt-store.js'
import type { EventRunner } from './event-runner.js'
import type { ResolvedConsumerOptions } from './options.js'
import { positionLost, type PartitionKey, type PositionStore, type StoredPosition } from './position-store.js'
import { recordOf } from './record.js'

/** What a partition needs of its assignment while it handles a batch. */
export interface BatchControls {
  /** Stop before the next event, in good order. */
  readonly isStopping: () => boolean
  /** Commits the offset to Kafka. Information for lag monitors: the database's position wins. */
  readonly commit: (next: bigint) => Promise<void>
}

export interface PartitionStart {
  readonly key: PartitionKey
  readonly token: string
  readonly position: StoredPosition
  readonly known: KnownAttempts
}

/**
 * One assigned partition with a known position. Everything in memory here is worth only as much as its last compare
 * and set: any doubt, and the owner throws this object away and reads the position again.
 */
export class Partition<Tx> {
  readonly key: PartitionKey
  readonly signal: AbortSignal
  readonly #controller = new AbortController()
  readonly #options: Pick<ResolvedConsumerOptions<Tx>, 'position'>
  readonly #runner: EventRunner<Tx>
  readonly #positions: PositionStore
  readonly #token: string
  readonly #known: KnownAttempts
  #next: bigint
  #aloneUntil: bigint
  #stored: StoredPosition
  /** The server process of the transaction in hand. */
  #backend: number | undefined

  constructor(
    options: Pick<ResolvedConsumerOptions<Tx>, 'position'>,
    runner: EventRunner<Tx>,
    positions: PositionStore,
    start: PartitionStart,
  ) {
    this.key = start.key
    this.signal = this.#controller.signal
    this.#options = options
    this.#runner = runner
    this.#positions = positions
    this.#token = start.token
    this.#known = start.known
    this.#stored = start.position
    this.#next = start.position.next
    this.#aloneUntil = start.position.inHand
  }

  /** The next offset to handle. */
  get next(): bigint {
    return this.#next
  }

  /** The server process of the transaction in hand, if there is one. */
  get backend(): number | undefined {
    return this.#backend
  }

  /** Gives up what is in hand: handlers see their signal aborted. */
  abort(reason: Error): void {
    this.#controller.abort(reason)
  }

  /**
   * Handles a batch that was fetched at this partition's position, event by event. Where there is nothing to see, markers and
   * aborted transactions, the position passes.
   *
   * @throws the abort reason, or an OutboxError that says why the position has to be read again
   */
  async handle(batch: FetchedBatch, controls: BatchControls): Promise<void> {
    if (batch.fetchedOffset !== this.#next) throw positionLost(this.key, this.#next)
    this.signal.throwIfAborted()
    if (batch.records.length > 0) await this.#handle(batch, controls)
    else this.#next = batch.nextOffset
    await this.#write()
    await faultPoint('consumer.position.written')
    await controls.commit(this.#next)
    await faultPoint('consumer.offset.committed')
  }

  async #handle({ records, nextOffset }: FetchedBatch, controls: BatchControls): Promise<void> {
    await this.#begin(nextOffset)
    await faultPoint('consumer.attempt.started')
    try {
      const finished = await this.#handleAll(records, nextOffset, controls)
      if (finished) this.#next = nextOffset
    } catch (error) {
      // Given up in good order: what is done is recorded, and nobody died over the rest.
      if (this.signal.aborted && error === this.signal.reason) await this.#write()
      throw error
    }
  }

  /** Whether all were handled; false when it was asked to stop. */
  async #handleAll(
    records: readonly ConsumedRecord[],
    end: bigint,
    controls: BatchControls,
  ): Promise<boolean> {
    const { eventsMax, intervalMs } = this.#options.position
    let events = 0
    let since = performance.now()
    for (const record of records) {
      if (controls.isStopping()) return false
      await this.#runner.run(recordOf(this.key, record), {
        token: this.#token,
        signal: this.signal,
        alone: record.offset < this.#aloneUntil,
        known: this.#known,
        onBackend: (backend) => void (this.#backend = backend),
      })
      this.#next = record.offset + 1n
      events += 1
      if (events >= eventsMax || performance.now() - since >= intervalMs) {
        await this.#write(end)
        await controls.commit(this.#next)
        events = 0
        since = performance.now()
      }
    }
    return true
  }

  async #begin(end: bigint): Promise<void> {
    const inHand = later(end, this.#aloneUntil)
    await this.#positions.begin(this.key, this.#token, this.#stored.next, inHand)
    this.#stored = { next: this.#stored.next, inHand }
  }

  /** Writes the position; `end` names the batch that is still in hand. What somebody died over stays marked. */
  async #write(end: bigint = this.#next): Promise<void> {
    const position = { next: this.#next, inHand: later(end, later(this.#next, this.#aloneUntil)) }
    if (position.next === this.#stored.next && position.inHand === this.#stored.inHand) return
    await this.#positions.move(this.key, this.#token, this.#stored.next, position)
    this.#stored = position
  }
}

const later = (one: bigint, other: bigint): bigint => (one > other ? one : other)
