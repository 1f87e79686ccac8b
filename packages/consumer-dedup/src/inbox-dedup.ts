import { faultPoint, OutboxError, type Database } from '@oncebox/core'
import { ownDatabase } from './failing/own-database.js'
import { markKeyOf } from './records/mark-key.js'
import { insertMarkAlone } from './sql/insert-mark-alone.js'
import { makeLife } from './sql/make-life.js'
import { refuseCommit } from './sql/refuse-commit.js'
import { stateWindow } from './sql/state-window.js'

/** What identifies an event for a database: `id` is unique within `source`. */
export interface InboxEventKey {
  readonly source: string
  readonly id: string
}

/** Marks of events in a database, for consumers of your own. Made by {@link createInboxDedup}. */
export interface InboxDedup<Tx> {
  readonly consumer: string
  /**
   * Runs the effect in a transaction of the caller's, unless a transaction with this event is committed. First the mark is
   * inserted, and that decides; a transaction that has it and is still open is waited for. Commit afterwards, as ever: effect and
   * mark are there together, or neither is.
   * @returns `handled`, or `duplicate` when the effect is there already and was not run
   * @throws OutboxError OUTBOX_NOT_IN_TRANSACTION; CONSUMER_EVENT_TOO_OLD, behind the window; and whatever the effect throws: its transaction is failed then, and can only
   *   be rolled back
   */
  once(tx: Tx, event: InboxEventKey, effect: () => PromiseLike<unknown>): Promise<'handled' | 'duplicate'>
}

export interface InboxDedupOptions<Tx> {
  /** fromPg(pool) or fromKnex(knex), with the schema of migrateInbox. */
  readonly db: Database<Tx>
  /** Whose marks these are. A consumer of this library with the same name in mode `inbox` has the same marks. */
  readonly consumer: string
  /**
   * For how long marks are kept, from the time inside the id, a UUID v7. Default: for ever, which keeps those of the other consumers
   * of this database, too.
   */
  readonly windowMs?: number
}

/**
 * The marks of mode `inbox` alone, for those who bring their own consumer, webhook or job.
 *
 * @example
 * const dedup = createInboxDedup({ db, consumer: 'billing' })
 * await db.transaction(async (tx) => {
 *   await dedup.once(tx, { source: event.source, id: event.id }, () => tx.query('insert into charges …', [...]))
 * })
 * @throws OutboxError CONSUMER_OPTIONS_INVALID
 */
export function createInboxDedup<Tx>({
  db: given,
  consumer,
  windowMs,
}: InboxDedupOptions<Tx>): InboxDedup<Tx> {
  named('consumer', consumer)
  if (windowMs !== undefined && (!Number.isInteger(windowMs) || windowMs < 3_600_000))
    throw new OutboxError('CONSUMER_OPTIONS_INVALID', 'windowMs is a whole number from 3600000')
  const db = ownDatabase(given)
  let isStated = windowMs === undefined
  // Beside the transaction, which may have the pool's only connection. Until it is said, nobody's marks are emptied.
  const stateOnce = (): void => {
    if (isStated) return
    isStated = true
    db.outside.query(stateWindow, [consumer, String(windowMs), true]).catch(() => {
      isStated = false // said with the next event
    })
  }
  return Object.freeze<InboxDedup<Tx>>({
    consumer,
    async once(tx, { source, id }, effect) {
      named('source', source)
      named('id', id)
      stateOnce()
      const connection = db.inside(tx)
      const mark = markKeyOf({ source, id })
      const insert = async (): Promise<{ readonly alive: number; readonly inserted: number } | undefined> => {
        const values = [consumer, mark.source, mark.id, mark.eventAt]
        const { rows } = await connection.query<{ alive: number; inserted: number }>(
          insertMarkAlone,
          values,
          { prepare: true },
        )
        return rows[0]
      }
      let row = await insert()
      if (row?.alive !== 1) {
        await connection.query(makeLife)
        row = await insert()
      }
      if (row?.inserted !== 1) return 'duplicate'
      await faultPoint('consumer.mark.inserted')
      try {
        await effect()
      } catch (error) {
        // Caught by the caller and committed, the mark would be there without the effect.
        await connection.query(refuseCommit).catch(() => undefined)
        throw error
      }
      return 'handled'
    },
  })
}

function named(what: string, value: string): void {
  if (typeof value !== 'string' || !/^[^\0]{1,255}$/s.test(value))
    throw new OutboxError('CONSUMER_OPTIONS_INVALID', `${what} is 1 to 255 characters without NUL`)
}
