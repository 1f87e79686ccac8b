import { faultPoint } from '@oncebox/core'
import type { KafkaMessage } from 'kafkajs'
import type { KnownAttempts } from './attempt-store.js'
import type { EventRunner } from './event-runner.js'
import type { ResolvedConsumerOptions } from './options.js'
import { positionLost, type PartitionKey, type PositionStore, type StoredPosition } from './position-store.js'
import { recordOf } from './record.js'

/** What one fetch brought for one partition. */
export interface FetchedBatch {
  /** Where the fetch began: the position it belongs to. */
  readonly fetchedOffset: bigint
  /** The last offset that the fetch covers, records that nobody sees included. */
  readonly lastOffset: bigint
  readonly messages: readonly KafkaMessage[]
}

/** What the group's client lends a partition while it handles a batch. */
export interface BatchControls {
  /** Stop before the next event, in good order. */
  readonly isStopping: () => boolean
  /** Tells the client where its next fetch begins: after this record. */
  readonly resolve: (offset: string) => void
  /** Commits the offset to Kafka. Information for lag monitors: the database's position wins. */
  readonly commit: (next: bigint) => Promise<void>
}

export interface PartitionStart {
  readonly key: PartitionKey
  readonly token: string
  readonly position: StoredPosition
  readonly known: KnownAttempts
  /** Where the fetch of the batch began that was refused last time, after a seek to the very same position. */
  readonly refused?: bigint | undefined
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
  readonly #refused: bigint | undefined
  #next: bigint
  /** Behind a stretch that was passed over, with a gap between it and the position. */
  #behindGap: bigint | undefined
  #aloneUntil: bigint
  #stored: StoredPosition
  /** The server process of the transaction in hand. */
  #backend: number | undefined
  /** Batches and the writes of a passed-over stretch take turns. */
  #turn: Promise<unknown> = Promise.resolve()

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
    this.#refused = start.refused
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
   * Handles a batch that was fetched at this partition's position, event by event.
   * @throws the abort reason, or an OutboxError that says why the position has to be read again
   */
  handle(batch: FetchedBatch, controls: BatchControls): Promise<void> {
    return this.#inTurn(() => this.#handle(batch, controls))
  }

  /** Records up to `last` were nobody's to see (markers, aborted transactions): the position passes them. */
  passOver(first: bigint, last: bigint): Promise<void> {
    return this.#inTurn(async () => {
      if (first === this.#next) {
        this.#next = last + 1n
        await this.#write()
      } else if (first > this.#next) {
        // Compaction leaves gaps, but this may also be the answer to a fetch from before the seek.
        this.#behindGap = last + 1n
      }
    })
  }

  async #handle(batch: FetchedBatch, controls: BatchControls): Promise<void> {
    if (batch.fetchedOffset !== this.#next && !this.#isBehindGap(batch))
      throw positionLost(this.key, this.#next)
    this.signal.throwIfAborted()
    const end = batch.lastOffset + 1n
    await this.#begin(end)
    await faultPoint('consumer.attempt.started')
    try {
      const finished = await this.#handleAll(batch.messages, end, controls)
      if (finished) this.#next = end
    } catch (error) {
      // Given up in good order: what is done is recorded, and nobody died over the rest.
      if (this.signal.aborted && error === this.signal.reason) await this.#write()
      throw error
    }
    await this.#write()
    await faultPoint('consumer.position.written')
    await controls.commit(this.#next)
    await faultPoint('consumer.offset.committed')
  }

  /**
   * Everything between the position and this batch was passed over by the client, and again after a seek to the
   * position: a gap that compaction left before records that nobody sees. Nothing was skipped.
   */
  #isBehindGap({ fetchedOffset }: FetchedBatch): boolean {
    if (fetchedOffset !== this.#behindGap || fetchedOffset !== this.#refused) return false
    this.#next = fetchedOffset
    return true
  }

  /** Whether all were handled; false when it was asked to stop. */
  async #handleAll(
    messages: readonly KafkaMessage[],
    end: bigint,
    controls: BatchControls,
  ): Promise<boolean> {
    const { eventsMax, intervalMs } = this.#options.position
    let events = 0
    let since = performance.now()
    for (const message of messages) {
      if (controls.isStopping()) return false
      const record = recordOf(this.key, message)
      await this.#runner.run(record, {
        token: this.#token,
        signal: this.signal,
        alone: record.offset < this.#aloneUntil,
        known: this.#known,
        onBackend: (backend) => void (this.#backend = backend),
      })
      this.#next = record.offset + 1n
      controls.resolve(message.offset)
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

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(work)
    this.#turn = turn.catch(() => undefined)
    return turn
  }
}

const later = (one: bigint, other: bigint): bigint => (one > other ? one : other)
