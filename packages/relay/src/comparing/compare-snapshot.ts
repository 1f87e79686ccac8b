import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { parseSnapshot, type Snapshot } from '../reading/snapshot.js'

// What may hold ACCESS EXCLUSIVE is a rotation, which takes milliseconds.
const lockTimeoutMs = 60_000

/**
 * Begins the transaction of a comparison and returns its snapshot. The locks come first: a REPEATABLE READ transaction
 * whose snapshot is older than a TRUNCATE reads no rows at all, without an error.
 * @throws OutboxError RELAY_STANDBY_REFUSED
 */
export async function beginComparison(client: Client): Promise<Snapshot> {
  await client.query(`begin isolation level repeatable read; set local lock_timeout = ${lockTimeoutMs}`)
  // With its partitions. Neither statement takes a snapshot.
  await client.query('lock table outbox.events, outbox.windows in access share mode')
  const { rows } = await client.query<{ snapshot: string; standby: boolean }>(
    'select pg_current_snapshot()::text as snapshot, pg_is_in_recovery() as standby',
  )
  const [row] = rows
  if (row === undefined || row.standby)
    throw new OutboxError('RELAY_STANDBY_REFUSED', 'the database is a standby (pg_is_in_recovery)')
  return parseSnapshot(row.snapshot)
}
