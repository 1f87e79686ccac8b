import type { SqlConnection } from '@oncebox/core'
import type { PartitionKey } from '../positions/position-store.js'
import type { MarkKey } from '../records/mark-key.js'
import { thisProcess } from '../running/alone.js'
import { endAttempts } from '../sql/end-attempts.js'
import { failAttempt } from '../sql/fail-attempt.js'
import { leaveAlone } from '../sql/leave-alone.js'
import { readAttempts } from '../sql/read-attempts.js'
import { startAlone } from '../sql/start-alone.js'
import { attemptKey, type AttemptLog, type Attempts } from './attempts.js'
import type { Cause } from './dead-letter.js'

/** Attempts outlive the process that made them; an event that never failed has no row. */
export class AttemptStore {
  readonly #connection: SqlConnection
  readonly #consumer: string

  constructor(connection: SqlConnection, consumer: string) {
    this.#connection = connection
    this.#consumer = consumer
  }

  /** What is known of the events of a partition. */
  async open(partition: PartitionKey): Promise<AttemptsInDatabase> {
    const { rows } = await this.#connection.query<Attempts & { source: string; id: string }>(readAttempts, [
      this.#consumer,
      partition.topicId,
      partition.partition,
    ])
    const known = new Map(
      rows.map(({ attempts, kills, ...mark }) => [attemptKey(mark), { attempts, kills }] as const),
    )
    return new AttemptsInDatabase(this, partition, known)
  }

  async startAlone(mark: MarkKey, { topicId, partition }: PartitionKey): Promise<Attempts> {
    return first(
      await this.#connection.query<Attempts>(startAlone, [
        this.#consumer,
        mark.source,
        mark.id,
        topicId,
        partition,
        thisProcess,
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

  /** A database that cannot be told now finds out when this process starts the event again. Never throws. */
  async leaveAlone({ source, id }: MarkKey): Promise<void> {
    await this.#connection.query(leaveAlone, [this.#consumer, source, id, thisProcess]).catch(() => undefined)
  }

  /** In the transaction that finishes the event. */
  async end(connection: SqlConnection, mark: MarkKey): Promise<void> {
    await connection.query(endAttempts, [this.#consumer, mark.source, mark.id])
  }
}

/** The attempts of one partition's events. */
export class AttemptsInDatabase implements AttemptLog {
  readonly #store: AttemptStore
  readonly #partition: PartitionKey
  readonly #known: Map<string, Attempts>

  constructor(store: AttemptStore, partition: PartitionKey, known: Map<string, Attempts>) {
    this.#store = store
    this.#partition = partition
    this.#known = known
  }

  of(mark: MarkKey): Attempts | undefined {
    // As good as always: a text for each event would be made for nothing.
    return this.#known.size === 0 ? undefined : this.#known.get(attemptKey(mark))
  }

  async startAlone(mark: MarkKey): Promise<Attempts> {
    return this.#keep(mark, await this.#store.startAlone(mark, this.#partition))
  }

  async fail(mark: MarkKey, cause: Cause): Promise<Attempts> {
    return this.#keep(mark, await this.#store.fail(mark, this.#partition, cause))
  }

  leaveAlone(mark: MarkKey): Promise<void> {
    return this.#store.leaveAlone(mark)
  }

  forget(mark: MarkKey): void {
    if (this.#known.size > 0) this.#known.delete(attemptKey(mark))
  }

  /** In the transaction that finishes the event: its attempts end with it. An event that never failed has none. */
  end(connection: SqlConnection, mark: MarkKey): Promise<void> | undefined {
    return this.of(mark) === undefined ? undefined : this.#store.end(connection, mark)
  }

  #keep(mark: MarkKey, attempts: Attempts): Attempts {
    this.#known.set(attemptKey(mark), attempts)
    return attempts
  }
}

function first({ rows }: { readonly rows: readonly Attempts[] }): Attempts {
  const row = rows[0]
  return { attempts: row?.attempts ?? 0, kills: row?.kills ?? 0 }
}
