/** What became of a transaction whose COMMIT was not answered: asked of the database, never guessed. */
import { delay, type SqlConnection } from '@oncebox/core'
import type { TransactionId } from './insert-events.js'

export type CommitOutcome = 'committed' | 'rolled-back' | 'unknown'

/** How long a transaction may stay in progress, and the database unreachable, before the outcome counts as unknown. */
const resolveMs = 10_000
const pauseMs = 100

interface StatusRow {
  readonly status: 'committed' | 'aborted' | 'in progress' | 'standby' | null
}

/**
 * The row alone proves a commit: transaction ids are not logged when they are assigned, so after a crash the same id
 * may belong to somebody else, and 'committed' says nothing. 'aborted' does prove that nothing was written.
 * Waits at most 10 seconds.
 */
export async function resolveCommit(
  connection: SqlConnection,
  txid: TransactionId,
  eventId: string,
): Promise<CommitOutcome> {
  const answered = new AbortController()
  const unknown = (): CommitOutcome => 'unknown'
  const tooLate = delay(resolveMs, answered.signal).then(unknown, unknown)
  const deadline = performance.now() + resolveMs
  try {
    while (performance.now() < deadline) {
      // A database that cannot be reached is asked again.
      const outcome = await Promise.race([look(connection, txid, eventId).catch(() => undefined), tooLate])
      if (outcome !== undefined) return outcome
      await delay(pauseMs)
    }
    return 'unknown'
  } finally {
    answered.abort()
  }
}

// Undefined: not settled yet, look again. The status is read before the row: the other way round, a commit between the
// two reads would look like an id without its row.
async function look(
  connection: SqlConnection,
  txid: TransactionId,
  eventId: string,
): Promise<CommitOutcome | undefined> {
  const status = await statusOf(connection, txid)
  if (status === 'standby') return undefined
  const row = await connection.query('select from outbox.events where txid = $1::xid8 and id = $2', [
    txid,
    eventId,
  ])
  if (row.rowCount > 0) return 'committed'
  if (status === 'aborted') return 'rolled-back'
  // Null: too old to know. 'committed' without the row is an id in other hands, or a commit that is not visible yet
  // (it waits for a synchronous standby): the deadline tells them apart.
  return status === null ? 'unknown' : undefined
}

async function statusOf(connection: SqlConnection, txid: TransactionId): Promise<StatusRow['status']> {
  try {
    const { rows } = await connection.query<StatusRow>(
      `select case when pg_is_in_recovery() then 'standby' else pg_xact_status($1::xid8) end as status`,
      [txid],
    )
    return rows[0]?.status ?? null
  } catch (error) {
    // "transaction ID is in the future": the server has crashed, and has not come as far as this id again.
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === '22023')
      return 'aborted'
    throw error
  }
}
