import { faultPoint, type SqlConnection } from '@oncebox/core'
import type { GroupAssignment } from '@oncebox/kafka'
import type { PartitionKey, PositionStore, StoredPosition } from './position-store.js'

const commitDeadlineMs = 5_000

/** Where a partition stands in the consumer's database, as this process knows it. */
export class DatabasePosition {
  readonly key: PartitionKey
  /** The life token that was read before the position. */
  readonly token: string
  readonly aloneUntil: bigint
  readonly #positions: PositionStore
  readonly #assignment: GroupAssignment
  #stored: StoredPosition

  constructor(
    positions: PositionStore,
    assignment: GroupAssignment,
    start: { readonly key: PartitionKey; readonly token: string; readonly position: StoredPosition },
  ) {
    this.#positions = positions
    this.#assignment = assignment
    this.key = start.key
    this.token = start.token
    this.#stored = start.position
    this.aloneUntil = start.position.inHand
  }

  /** What the database has. */
  get next(): bigint {
    return this.#stored.next
  }

  /** The started-record of a batch: events up to `end` are about to be handled. */
  async begin(end: bigint): Promise<void> {
    const inHand = later(end, this.aloneUntil)
    await this.#positions.begin(this.key, this.token, this.#stored.next, inHand)
    this.#stored = { next: this.#stored.next, inHand }
    await faultPoint('consumer.attempt.started')
  }

  /**
   * Moves it, then tells Kafka. What somebody died over stays marked.
   * @throws OutboxError CONSUMER_POSITION_LOST
   */
  async pass(next: bigint, end: bigint): Promise<void> {
    const position = { next, inHand: later(end, later(next, this.aloneUntil)) }
    if (position.next !== this.#stored.next || position.inHand !== this.#stored.inHand) {
      await this.#positions.move(this.key, this.token, this.#stored.next, position)
      this.#stored = position
    }
    await faultPoint('consumer.position.written')
    const { topic, partition } = this.key
    // Information for lag monitors. Refused or unanswered, it changes nothing; a refusal also ends the generation.
    await this.#assignment
      .commitOffsets([{ topic, partition, offset: next }], { deadlineMs: commitDeadlineMs })
      .catch(() => undefined)
    await faultPoint('consumer.offset.committed')
  }

  /**
   * Moves it inside the transaction of an effect: {@link moved} has to follow when that is committed.
   * @returns The server process of the transaction
   * @throws OutboxError CONSUMER_POSITION_LOST
   */
  async moveInside(connection: SqlConnection, next: bigint): Promise<number> {
    return await this.#positions.moveInside(
      connection,
      this.key,
      this.token,
      this.#stored.next,
      this.#at(next),
    )
  }

  /** The transaction that moved it is committed. */
  moved(next: bigint): void {
    this.#stored = this.#at(next)
  }

  #at(next: bigint): StoredPosition {
    return { next, inHand: later(next, this.#stored.inHand) }
  }
}

const later = (one: bigint, other: bigint): bigint => (one > other ? one : other)
