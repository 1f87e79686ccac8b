import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import type { Position } from '../position.js'

// The record of the window, physically the row that was written then: its tuple's xmin is its own txid, which a dump,
// a restore or logical replication does not keep, and a failover and pg_upgrade do. And nothing of it lies in the future.
const proof = `
select exists (select from outbox.windows w
                where w.shard = $1 and w.generation = $2 and w.epoch = $3 and w.window_number = $4
                  and w.incarnation = $5 and w.to_snapshot::text = $6) as recorded,
       exists (select from outbox.windows w
                where w.shard = $1 and w.generation = $2 and w.epoch = $3 and w.window_number = $4
                  and w.xmin::text::bigint = mod(w.txid::text::numeric, 4294967296)::bigint) as original,
       pg_snapshot_xmax($6::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) as past`

/**
 * Proves that the position found in Kafka is of this database's own history.
 * @throws OutboxError RELAY_HISTORY_DIVERGED after a lossy failover, a restored dump, or with the wrong database.
 */
export async function provePosition(client: Client, shard: number, position: Position): Promise<void> {
  const why = await findDivergence(client, shard, position)
  if (why !== undefined) throw diverged(why, { shard, ...position.window, batch: position.batch })
}

/** Why the position is of another history than the database; undefined when it is of the same. */
export async function findDivergence(
  client: Client,
  shard: number,
  { window, to }: Position,
): Promise<string | undefined> {
  const { rows } = await client.query<{ recorded: boolean; original: boolean; past: boolean }>(proof, [
    shard,
    window.generation,
    window.epoch,
    window.number,
    window.incarnation,
    to.text,
  ])
  const [row] = rows
  if (row === undefined) return 'the database answered nothing'
  if (!row.recorded)
    return 'the database has no record of the window that Kafka names: it was restored or lost its last commits, or it is another database'
  if (!row.original)
    return 'the record of the window is a copy: the database was restored from a dump or is a logical replica'
  if (!row.past)
    return 'the window lies in the future of this database: it was restored or lost its last commits'
  return undefined
}

export const diverged = (why: string, details: Readonly<Record<string, unknown>>): OutboxError =>
  new OutboxError('RELAY_HISTORY_DIVERGED', why, { details })
