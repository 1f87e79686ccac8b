import type { Client } from 'pg'
import { adoptedTxid } from '../comparing/evidence.js'
import type { WindowName } from '../position.js'
import type { Snapshot } from '../reading/snapshot.js'
import { recordInitialised } from '../opening/genesis.js'
import type { FencedOutbox } from './fence-outbox.js'

/**
 * Commits synchronously that a snapshot was compared, on another connection than the one that holds it: what the
 * snapshot shows is durable when this returns. Nothing of it may be published before.
 */
export async function recordCompared(
  client: Client,
  row: { readonly generation: number; readonly incarnation: string; readonly at: Snapshot },
): Promise<void> {
  await client.query('begin isolation level read committed; set local synchronous_commit = on')
  await client.query(
    `insert into outbox.adoptions (generation, incarnation, stage, to_snapshot) values ($1, $2, 'compared', $3)`,
    [row.generation, row.incarnation, row.at.text],
  )
  await client.query('commit')
}

// Rows of a dump carry transaction ids of another cluster. Those that this snapshot does not show would join a window when
// this cluster comes to their number, after months or at once. Their new id is older than any: no window ever reads it.
// The one UPDATE of schema outbox. Nobody else writes these rows, and all relays are fenced; it takes effect with the
// beginning of the new shards, or not at all.
const restamp = `
update outbox.events set txid = $2::text::xid8
 where not pg_visible_in_snapshot(txid, $1::pg_snapshot)`

const insertBeginning = `
insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot)
values ($1, $2, $3, 0, $4, $5)`

const insertAdopted = `
insert into outbox.adoptions (generation, incarnation, stage, to_snapshot, counts) values ($1, $2, 'adopted', $3, $4)`

export interface AdoptedRow {
  readonly incarnation: string
  readonly at: Snapshot
  readonly counts: object
}

/**
 * Ends the transaction of the comparison: everything visible in its snapshot is decided, and the shards of the new map
 * begin behind it. @returns How many rows had a transaction id of another cluster.
 */
export async function commitAdoption(
  client: Client,
  { map, shards }: FencedOutbox,
  { incarnation, at, counts }: AdoptedRow,
): Promise<number> {
  await client.query('set local synchronous_commit = on; set local enable_seqscan = on')
  const { rowCount } = await client.query(restamp, [at.text, String(adoptedTxid)])
  for (const { shard } of map.shards) {
    const fenced = shards.find((each) => each.shard === shard)
    await client.query(insertBeginning, [shard, map.generation, fenced?.epoch ?? 0, incarnation, at.text])
  }
  const restamped = rowCount ?? 0
  await client.query(insertAdopted, [
    map.generation,
    incarnation,
    at.text,
    JSON.stringify({ ...counts, restamped }),
  ])
  await client.query('commit')
  return restamped
}

/** Where a shard of the map begins, as it was recorded. */
export interface Beginning {
  readonly shard: number
  readonly window: WindowName
  readonly at: string
}

export async function readBeginnings(client: Client, generation: number): Promise<readonly Beginning[]> {
  const { rows } = await client.query<{ shard: number; epoch: string; incarnation: string; at: string }>(
    `select shard, epoch, incarnation, to_snapshot::text as at
       from outbox.windows where generation = $1 and window_number = 0 order by shard`,
    [generation],
  )
  return rows.map(({ shard, epoch, incarnation, at }) => ({
    shard,
    window: { generation, epoch: Number(epoch), number: 0, incarnation },
    at,
  }))
}

/** Relays may publish from here on. All shards at once: a relay takes none of them before. */
export async function recordBegun(
  client: Client,
  { map, progress }: FencedOutbox,
  relay: string,
  clusterId: string,
): Promise<void> {
  const shards = map.shards.map(({ shard }) => shard)
  const row = { generation: map.generation, relay, clusterId, progressTopicId: progress.topicId }
  await recordInitialised(client, { ...row, shards })
}
