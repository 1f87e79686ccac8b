import { OutboxError, type Database, type SqlConnection } from '@oncebox/core'
import { queueOf } from '../parking/queue-of.js'
import {
  countLetters,
  discardLetters,
  listLetters,
  newestLetter,
  queueLetterKeys,
  queueLetters,
  takeLetters,
} from '../sql/letters.js'
import type { HeaderCopy } from '../records/header-copy.js'

export const consumerLetterStates = ['parked', 'retrying', 'dead', 'replayed', 'discarded'] as const
export type ConsumerLetterState = (typeof consumerLetterStates)[number]

/** An event of a consumer that did not take effect in its turn. */
export interface ConsumerLetter {
  /** In the order in which they came. */
  readonly number: string
  readonly state: ConsumerLetterState
  readonly id: string
  readonly source: string
  readonly type: string | null
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly key: Buffer | null
  readonly attempts: number
  readonly kills: number
  readonly code: string
  readonly reason: string
  readonly stack: string | null
  readonly parkedAt: Date
  readonly headers: Readonly<Record<string, readonly HeaderCopy[]>>
  readonly payload: Buffer | null
}

/** Letters by number, and by the id of their event. */
export interface NamedLetters {
  readonly numbers?: readonly string[] | undefined
  readonly ids?: readonly string[] | undefined
}

/** Which dead letters: those that all of it fits. */
export interface LetterSelection {
  readonly letters?: NamedLetters | undefined
  readonly type?: string | undefined
  readonly code?: string | undefined
}

export interface LetterCount {
  readonly type: string | null
  readonly code: string
  readonly letters: number
}

const pageSize = 500

/** The dead letters of one consumer, for a person: what is there, and what is to be done with it. */
export class ConsumerLetters<Tx> {
  readonly #db: Database<Tx>
  readonly #consumer: string

  constructor(db: Database<Tx>, consumer: string) {
    this.#db = db
    this.#consumer = consumer
  }

  /** @param after Only letters behind this number: the last of the page before. */
  async list({
    states = ['dead'],
    letters,
    limit = 100,
    after = '0',
  }: {
    readonly states?: readonly ConsumerLetterState[]
    readonly letters?: NamedLetters
    readonly limit?: number
    readonly after?: string
  } = {}): Promise<readonly ConsumerLetter[]> {
    const { rows } = await this.#db.outside.query<ConsumerLetter>(listLetters, [
      this.#consumer,
      ...namesOf(letters),
      states,
      after,
      limit,
    ])
    return rows
  }

  /** How many dead letters a selection has, per type and code: what replay() or discard() would take. */
  async count(selection: LetterSelection): Promise<readonly LetterCount[]> {
    const { rows } = await this.#db.outside.query<LetterCount>(countLetters, this.#parameters(selection))
    return rows
  }

  /**
   * Puts dead letters back into the queues of their keys, before what waits there, due at once. A running process of the
   * consumer runs them in order, within seconds; one that fails again is a dead letter again after its delays.
   * @returns How many
   */
  async replay(selection: LetterSelection): Promise<number> {
    return await this.#inPages(selection, async (connection, letters) => {
      const numbers = letters.map(({ number }) => number)
      const topicIds = letters.map(({ topic_id: topicId }) => topicId)
      const queues = letters.map((letter) =>
        queueOf({ ...letter, topicId: letter.topic_id, offset: BigInt(letter.offset) }),
      )
      await connection.query(queueLetterKeys, [this.#consumer, topicIds, queues])
      await connection.query(queueLetters, [numbers, queues])
    })
  }

  /** Drops dead letters for good; their rows stay, in state `discarded`. @returns How many */
  async discard(selection: LetterSelection): Promise<number> {
    return await this.#inPages(selection, async (connection, letters) => {
      await connection.query(discardLetters, [letters.map(({ number }) => number)])
    })
  }

  /** A transaction each, so that no lock is held for long. What comes meanwhile was not meant. */
  async #inPages(
    selection: LetterSelection,
    work: (connection: SqlConnection, letters: readonly TakenLetter[]) => Promise<void>,
  ): Promise<number> {
    const newest = await this.#db.outside.query<{ number: string }>(newestLetter, [this.#consumer])
    const last = newest.rows[0]?.number ?? '0'
    for (let total = 0, after = '0'; ;) {
      const taken = await this.#db.transaction(async (tx) => {
        const connection = this.#db.inside(tx)
        const { rows } = await connection.query<TakenLetter>(takeLetters, [
          ...this.#parameters(selection),
          after,
          last,
          pageSize,
        ])
        if (rows.length > 0) await work(connection, rows)
        return rows
      })
      total += taken.length
      const end = taken.at(-1)
      if (end === undefined) return total
      after = end.number
    }
  }

  #parameters({ letters, type, code }: LetterSelection): readonly unknown[] {
    return [this.#consumer, ...namesOf(letters), type ?? null, code ?? null]
  }
}

const namesOf = ({ numbers, ids }: NamedLetters = {}): readonly unknown[] => [numbers ?? null, ids ?? null]

interface TakenLetter {
  readonly number: string
  readonly topic_id: string
  readonly partition: number
  readonly offset: string
  readonly key: Buffer | null
}

export const letterUnknown = (consumer: string, letter: string): OutboxError =>
  new OutboxError(
    'CONSUMER_DEAD_LETTER_UNKNOWN',
    `consumer ${consumer} has no event ${letter} that did not take effect in its turn`,
    { details: { consumer, letter } },
  )
