import { faultPoint, OutboxError, type SqlConnection, type SqlResult, type Statement } from '@oncebox/core'
import type { AttemptsInDatabase } from '../failing/attempts-in-database.js'
import type { Handled, LowWaters } from '../housekeeping/low-waters.js'
import type { ParkingLot } from '../parking/parking-lot.js'
import type { DatabasePosition } from '../positions/database-position.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { decideUnmarked } from '../sql/decide-unmarked.js'
import { insertMark, insertMarkInPlace } from '../sql/insert-mark.js'
import { insertMarks } from '../sql/insert-marks.js'
import { takeRetried } from '../retrying/open-retries.js'
import type { MarkKey } from '../records/mark-key.js'
import { DatabasePartition, type Decision } from './database-partition.js'
import type { Subject } from './partition-effects.js'

/**
 * `inbox`: the dedup mark is the first statement of the effect's transaction, and the insert decides. Marks name the
 * event, so an event that comes again at another offset, from another topic or after a restore takes effect once, too.
 */
export class InboxPartition<Tx> extends DatabasePartition<Tx> {
  readonly #handled: Handled

  constructor(
    options: ResolvedDatabaseOptions<Tx>,
    position: DatabasePosition,
    attempts: AttemptsInDatabase,
    lot: ParkingLot,
    lowWaters: LowWaters,
  ) {
    super(options, position, attempts, lot)
    this.#handled = lowWaters.opened(position.key)
  }

  protected opening({ mark, retried }: Subject): Statement | undefined {
    return retried === undefined ? this.#statementOf(mark) : undefined
  }

  protected async decide(
    connection: SqlConnection,
    { mark, retried }: Subject,
    opened?: SqlResult<object>,
  ): Promise<Decision<boolean>> {
    this.#handled.add(mark.eventAt)
    // The mark of the event is there since it was sent on.
    if (retried !== undefined) return await takeRetried(connection, this.options.name, retried, this.position)
    const row = await this.#mark(connection, mark, opened as SqlResult<MarkedRow> | undefined)
    if (row === undefined || row.alive === 0) throw serverReplaced(this.options.name)
    if (row.inserted === 1) await faultPoint('consumer.mark.inserted')
    return { answer: row.inserted === 1, backend: row.backend }
  }

  async #mark(
    connection: SqlConnection,
    mark: MarkKey,
    opened: SqlResult<MarkedRow> | undefined,
  ): Promise<MarkedRow | undefined> {
    const { sql, parameters, ...options } = this.#statementOf(mark)
    const { rows } = opened ?? (await connection.query<MarkedRow>(sql, parameters, options))
    // Where it was not inserted in place, the function says why.
    return rows[0] ?? (await connection.query<MarkedRow>(sql, parameters)).rows[0]
  }

  #statementOf({ source, id, eventAt }: MarkKey): Statement {
    return {
      sql: insertMark,
      prepare: insertMarkInPlace,
      parameters: [this.position.token, this.options.name, source, id, eventAt],
    }
  }

  protected override async decideUnmarked(
    connection: SqlConnection,
    { mark, record }: Subject,
  ): Promise<Decision<boolean>> {
    const { rows } = await connection.query<{ alive: number; known: boolean; backend: number }>(
      decideUnmarked,
      [
        this.position.token,
        this.options.name,
        mark.source,
        mark.id,
        record.topicId,
        record.partition,
        String(record.offset),
      ],
    )
    const row = rows[0]
    if (row === undefined || row.alive === 0) throw serverReplaced(this.options.name)
    return { answer: !row.known, backend: row.backend }
  }

  protected async decideTogether(
    connection: SqlConnection,
    subjects: readonly Subject[],
  ): Promise<Decision<readonly Subject[]>> {
    for (const { mark } of subjects) this.#handled.add(mark.eventAt)
    const { rows } = await connection.query<{
      alive: number
      inserted: number
      sources: readonly string[] | null
      ids: readonly string[] | null
      backend: number
    }>(
      insertMarks,
      [
        this.position.token,
        this.options.name,
        subjects.map(({ mark }) => mark.source),
        subjects.map(({ mark }) => mark.id),
        // The driver takes longer for each date than for all of the text.
        `{${subjects.map(({ mark }) => mark.eventAt.toISOString()).join(',')}}`,
      ],
      { prepare: true },
    )
    const row = rows[0]
    if (row === undefined || row.alive === 0) throw serverReplaced(this.options.name)
    const fresh = row.inserted === subjects.length ? subjects : freshOf(subjects, row)
    if (fresh.length > 0) await faultPoint('consumer.mark.inserted')
    return { answer: fresh, backend: row.backend }
  }
}

/** Of an id that is in the batch twice the first is new: delete() is true once. */
function freshOf(
  subjects: readonly Subject[],
  { sources, ids }: { readonly sources: readonly string[] | null; readonly ids: readonly string[] | null },
): readonly Subject[] {
  const inserted = new Set(ids?.map((id, index) => `${sources?.[index]}\n${id}`))
  return subjects.filter(({ mark }) => inserted.delete(`${mark.source}\n${mark.id}`))
}

interface MarkedRow {
  readonly alive: number
  readonly inserted: number
  readonly backend: number
}

const serverReplaced = (consumer: string): OutboxError =>
  new OutboxError(
    'CONSUMER_POSITION_LOST',
    'the database server crashed, failed over or was replaced since the position was read',
    { details: { consumer } },
  )
