import type { SqlConnection } from '@oncebox/core'
import type { Cause } from './dead-letter.js'
import type { MarkKey } from './mark-key.js'
import type { PartitionKey } from './position-store.js'
import { endAttempts } from './sql/end-attempts.js'
import { failAttempt } from './sql/fail-attempt.js'
import { leaveAlone } from './sql/leave-alone.js'
import { readAttempts } from './sql/read-attempts.js'
import { startAlone } from './sql/start-alone.js'

/** How often an event was tried. */
export interface Attempts {
  /** Attempts that failed. */
  readonly attempts: number
  /** Processes that ended while they handled this event alone. */
  readonly kills: number
}

/** What is known of the failed events of a partition: attempts by source and mark id. */
export type KnownAttempts = Map<string, Attempts>

export const attemptKey = ({ source, id }: Pick<MarkKey, 'source' | 'id'>): string => `${source}\n${id}`

/** Attempts outlive the process that made them; an event that never failed has no row. */
export class AttemptStore {
  readonly #connection: SqlConnection
  readonly #consumer: string
  /** Marks that were given up in good order when the database could not be told. At most one a partition. */
  readonly #untold = new Set<string>()

  constructor(connection: SqlConnection, consumer: string) {
    this.#connection = connection
    this.#consumer = consumer
  }

  async read({ topicId, partition }: PartitionKey): Promise<KnownAttempts> {
    const { rows } = await this.#connection.query<Attempts & { source: string; id: string }>(readAttempts, [
      this.#consumer,
      topicId,
      partition,
    ])
    return new Map(rows.map(({ attempts, kills, ...mark }) => [attemptKey(mark), { attempts, kills }]))
  }

  /** Records that the event is about to run alone; counts a kill when the last one to say so never came back. */
  async startAlone(mark: MarkKey, { topicId, partition }: PartitionKey): Promise<Attempts> {
    if (this.#untold.has(attemptKey(mark))) await this.#leave(mark)
    return first(
      await this.#connection.query<Attempts>(startAlone, [
        this.#consumer,
        mark.source,
        mark.id,
        topicId,
        partition,
      ]),
    )
  }

  async fail(
    mark: MarkKey,
    { topicId, partition }: PartitionKey,
    { code, reason }: Cause,
  ): Promise<Attempts> {
    return first(
      await this.#connection.query<Attempts>(failAttempt, [
        this.#consumer,
        mark.source,
        mark.id,
        topicId,
        partition,
        code,
        reason,
      ]),
    )
  }

  /**
   * The event was given up, and this process lives: the next one to start it must not count a kill. A database that
   * cannot be told now is told when the event is started again. Never throws.
   */
  async leaveAlone(mark: MarkKey): Promise<void> {
    this.#untold.add(attemptKey(mark))
    await this.#leave(mark).catch(() => undefined)
  }

  async #leave(mark: MarkKey): Promise<void> {
    await this.#connection.query(leaveAlone, [this.#consumer, mark.source, mark.id])
    this.#untold.delete(attemptKey(mark))
  }

  /** In the transaction that finishes the event. */
  async end(connection: SqlConnection, mark: MarkKey): Promise<void> {
    await connection.query(endAttempts, [this.#consumer, mark.source, mark.id])
  }
}

function first({ rows }: { readonly rows: readonly Attempts[] }): Attempts {
  const row = rows[0]
  return { attempts: row?.attempts ?? 0, kills: row?.kills ?? 0 }
}
