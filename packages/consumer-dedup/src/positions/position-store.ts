import { OutboxError, type SqlConnection, type SqlResult, type Statement } from '@oncebox/core'
import { beginBatch } from '../sql/begin-batch.js'
import { insertPositions } from '../sql/insert-positions.js'
import { makeLife } from '../sql/make-life.js'
import { movePosition, movePositionInPlace, movePositionLater } from '../sql/move-position.js'
import { readLife } from '../sql/read-life.js'
import { readPositions } from '../sql/read-positions.js'
import { withoutZombies } from './without-zombies.js'

/** A partition by the id of its topic: a re-created topic is another one. */
export interface PartitionKey {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
}

/** What the database knows of a partition. */
export interface StoredPosition {
  /** The next offset to fetch. */
  readonly next: bigint
  /** Events from `next` up to here were begun; more than `next` means that somebody died over them. */
  readonly inHand: bigint
}

/** A position that is to be moved, by compare and set. */
export interface Move {
  readonly key: PartitionKey
  readonly token: string
  readonly expected: bigint
  readonly to: StoredPosition
}

/** Positions in the consumer's own database: they win over Kafka's offsets. */
export class PositionStore {
  readonly #connection: SqlConnection
  readonly #consumer: string
  readonly #patienceMs: number

  /** @param patienceMs How long somebody who stands still may hold a position up. */
  constructor(connection: SqlConnection, consumer: string, patienceMs: number) {
    this.#connection = connection
    this.#consumer = consumer
    this.#patienceMs = patienceMs
  }

  /** The token of this life of the database, made when there is none. */
  async lifeToken(): Promise<string> {
    // Bounded: between two statements a crash can empty the table again, but hardly ten times.
    for (let turn = 0; turn < 10; turn += 1) {
      const found = await this.#connection.query<{ token: string }>(readLife)
      const token = found.rows[0]?.token
      if (token !== undefined) return token
      await this.#connection.query(makeLife)
    }
    throw new OutboxError(
      'CONSUMER_DATABASE_UNAVAILABLE',
      'the life token of the inbox does not stay: the server restarts again and again',
    )
  }

  async read(topicId: string): Promise<ReadonlyMap<number, StoredPosition>> {
    const { rows } = await this.#connection.query<{ partition: number; next: string; in_hand: string }>(
      readPositions,
      [this.#consumer, topicId],
    )
    return new Map(
      rows.map((row) => [row.partition, { next: BigInt(row.next), inHand: BigInt(row.in_hand) }]),
    )
  }

  /** Writes first positions; those that exist stay as they are. */
  async insert(topic: string, topicId: string, firsts: ReadonlyMap<number, bigint>): Promise<void> {
    await this.#connection.query(insertPositions, [
      this.#consumer,
      topicId,
      topic,
      [...firsts.keys()],
      [...firsts.values()].map(String),
    ])
  }

  /** @throws OutboxError CONSUMER_POSITION_LOST when `expected` is not what the database has, or its life has ended. */
  async begin(key: PartitionKey, token: string, expected: bigint, inHand: bigint): Promise<void> {
    const begun = this.#connection.query(beginBatch, [
      this.#consumer,
      key.topicId,
      key.partition,
      String(expected),
      String(inHand),
      token,
    ])
    const { rowCount } = await withoutZombies(this.#connection, this.#patienceMs, begun)
    if (rowCount !== 1) throw positionLost(key, expected)
  }

  /** @throws OutboxError CONSUMER_POSITION_LOST when `expected` is not what the database has, or its life has ended. */
  async move(move: Move): Promise<void> {
    const { parameters } = this.statementOf(move)
    const moved = this.#connection.query<MovedRow>(movePositionLater, parameters)
    assertMoved(await withoutZombies(this.#connection, this.#patienceMs, moved), move)
  }

  /**
   * The same in somebody's transaction, first in it: whoever moves the same position waits until that has ended.
   * @param opened What {@link statementOf} has answered, where that has been run
   * @returns The server process of the transaction
   */
  async moveInside(connection: SqlConnection, move: Move, opened?: SqlResult<object>): Promise<number> {
    if (opened !== undefined) return assertMoved(opened as SqlResult<MovedRow>, move)
    const { sql, parameters, ...options } = this.statementOf(move)
    return assertMoved(await connection.query<MovedRow>(sql, parameters, options), move)
  }

  statementOf({ key, token, expected, to: { next, inHand } }: Move): Statement {
    return {
      sql: movePosition,
      prepare: movePositionInPlace,
      parameters: [
        this.#consumer,
        key.topicId,
        key.partition,
        String(expected),
        String(next),
        String(inHand),
        token,
      ],
    }
  }
}

interface MovedRow {
  readonly backend: number | null
}

/** @throws OutboxError CONSUMER_POSITION_LOST */
function assertMoved({ rows }: SqlResult<MovedRow>, { key, expected }: Move): number {
  const backend = rows[0]?.backend ?? null
  if (backend === null) throw positionLost(key, expected)
  return backend
}

/** The position in memory is not the database's any more. */
export function positionLost(
  { topic, partition }: Pick<PartitionKey, 'topic' | 'partition'>,
  expected: bigint,
): OutboxError {
  return new OutboxError(
    'CONSUMER_POSITION_LOST',
    `${topic}-${partition}: the database no longer has the position ${expected}: another member moved it, or the server crashed or was restored`,
    { details: { topic, partition, expected: String(expected) } },
  )
}
