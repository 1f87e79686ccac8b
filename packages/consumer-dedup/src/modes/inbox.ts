import { faultPoint, OutboxError, type SqlConnection } from '@oncebox/core'
import type { AttemptsInDatabase } from '../failing/attempts-in-database.js'
import type { Handled, LowWaters } from '../housekeeping/low-waters.js'
import type { ParkingLot } from '../parking/parking-lot.js'
import type { DatabasePosition } from '../positions/database-position.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { decideUnmarked } from '../sql/decide-unmarked.js'
import { insertMark } from '../sql/insert-mark.js'
import { insertMarks } from '../sql/insert-marks.js'
import { takeRetried } from '../retrying/open-retries.js'
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

  protected async decide(connection: SqlConnection, { mark, retried }: Subject): Promise<Decision<boolean>> {
    this.#handled.add(mark.eventAt)
    // The mark of the event is there since it was sent on.
    if (retried !== undefined) return await takeRetried(connection, this.options.name, retried, this.position)
    const { rows } = await connection.query<{ alive: number; inserted: number; backend: number }>(
      insertMark,
      [this.position.token, this.options.name, mark.source, mark.id, mark.eventAt],
      { prepare: true },
    )
    const row = rows[0]
    if (row === undefined || row.alive === 0) throw serverReplaced(this.options.name)
    if (row.inserted === 1) await faultPoint('consumer.mark.inserted')
    return { answer: row.inserted === 1, backend: row.backend }
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
      sources: readonly string[]
      ids: readonly string[]
      backend: number
    }>(
      insertMarks,
      [
        this.position.token,
        this.options.name,
        subjects.map(({ mark }) => mark.source),
        subjects.map(({ mark }) => mark.id),
        subjects.map(({ mark }) => mark.eventAt),
      ],
      { prepare: true },
    )
    const row = rows[0]
    if (row === undefined || row.alive === 0) throw serverReplaced(this.options.name)
    const inserted = new Set(row.ids.map((id, index) => `${row.sources[index]}\n${id}`))
    // Of an id that is in the batch twice the first is new: delete() is true once.
    const fresh = subjects.filter(({ mark }) => inserted.delete(`${mark.source}\n${mark.id}`))
    if (fresh.length > 0) await faultPoint('consumer.mark.inserted')
    return { answer: fresh, backend: row.backend }
  }
}

const serverReplaced = (consumer: string): OutboxError =>
  new OutboxError(
    'CONSUMER_POSITION_LOST',
    'the database server crashed, failed over or was replaced since the position was read',
    { details: { consumer } },
  )
