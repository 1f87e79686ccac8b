import { faultPoint, type SqlConnection, type SqlResult, type Statement } from '@oncebox/core'
import type { GroupAssignment } from '@oncebox/kafka'
import { FollowingOffset } from './following-offset.js'
import type { Move, PartitionKey, PositionStore, StoredPosition } from './position-store.js'

/** Where a partition stands in the consumer's database, as this process knows it. */
export class DatabasePosition {
  readonly key: PartitionKey
  /** The life token that was read before the position. */
  readonly token: string
  readonly aloneUntil: bigint
  readonly #positions: PositionStore
  readonly #offset: FollowingOffset
  #stored: StoredPosition

  constructor(
    positions: PositionStore,
    assignment: GroupAssignment,
    start: { readonly key: PartitionKey; readonly token: string; readonly position: StoredPosition },
  ) {
    this.#positions = positions
    this.key = start.key
    this.#offset = new FollowingOffset(assignment, start.key)
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
   * Moves it, and lets Kafka know. What somebody died over stays marked.
   * @throws OutboxError CONSUMER_POSITION_LOST
   */
  async pass(next: bigint, end: bigint): Promise<void> {
    const position = { next, inHand: later(end, later(next, this.aloneUntil)) }
    if (position.next !== this.#stored.next || position.inHand !== this.#stored.inHand) {
      await this.#positions.move(this.#moveTo(position))
      this.#stored = position
    }
    await faultPoint('consumer.position.written')
    this.#offset.follow(next)
  }

  /** Resolves when Kafka knows, or does not answer. */
  async close(): Promise<void> {
    await this.#offset.settled()
  }

  /**
   * Moves it inside the transaction of an effect: {@link moved} has to follow when that is committed.
   * @param opened What {@link statementTo} has answered, where that has been run
   * @returns The server process of the transaction
   * @throws OutboxError CONSUMER_POSITION_LOST
   */
  async moveInside(connection: SqlConnection, next: bigint, opened?: SqlResult<object>): Promise<number> {
    return await this.#positions.moveInside(connection, this.#moveTo(this.#at(next)), opened)
  }

  /** The statement with which {@link moveInside} begins. */
  statementTo(next: bigint): Statement {
    return this.#positions.statementOf(this.#moveTo(this.#at(next)))
  }

  /** The transaction that moved it is committed. */
  moved(next: bigint): void {
    this.#stored = this.#at(next)
  }

  #moveTo(to: StoredPosition): Move {
    return { key: this.key, token: this.token, expected: this.#stored.next, to }
  }

  #at(next: bigint): StoredPosition {
    return { next, inHand: later(next, this.#stored.inHand) }
  }
}

const later = (one: bigint, other: bigint): bigint => (one > other ? one : other)
