import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { parseSnapshot, beginning, type Snapshot } from '../reading/snapshot.js'
import type { WindowName } from '../position.js'

/** Where a shard begins: window 0. */
interface Genesis {
  readonly window: WindowName
  readonly to: Snapshot
}

export interface GenesisRequest {
  readonly shard: number
  readonly generation: number
  readonly epoch: number
  readonly incarnation: string
  readonly startAt: 'earliest' | 'now'
}

const readGenesis = `
select epoch, incarnation, to_snapshot::text as to_snapshot
  from outbox.windows
 where shard = $1 and generation = $2 and window_number = 0
 order by epoch limit 1`

// `now` is the statement's own snapshot, so that its xmax cannot lie above the txid that the row gets.
const insertGenesis = (startAt: GenesisRequest['startAt']): string => `
insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot)
values ($1, $2, $3, 0, $4, ${startAt === 'now' ? 'pg_current_snapshot()' : `'${beginning.text}'`})`

/**
 * The recorded beginning of a shard, recorded now if this is its first start. A later start takes the one that is
 * there: `startAt: 'now'`, asked twice, must not skip what was emitted between.
 */
export async function ensureGenesis(client: Client, request: GenesisRequest): Promise<Genesis> {
  const found = await find(client, request)
  if (found !== undefined) return found
  await client.query('begin isolation level read committed; set local synchronous_commit = on')
  await client.query(insertGenesis(request.startAt), [
    request.shard,
    request.generation,
    request.epoch,
    request.incarnation,
  ])
  await client.query('commit')
  const written = await find(client, request)
  if (written === undefined)
    throw new OutboxError('RELAY_LIFE_ENDED', 'window 0 vanished after it was committed')
  return written
}

async function find(client: Client, { shard, generation }: GenesisRequest): Promise<Genesis | undefined> {
  const { rows } = await client.query<{ epoch: string; incarnation: string; to_snapshot: string }>(
    readGenesis,
    [shard, generation],
  )
  const [row] = rows
  if (row === undefined) return undefined
  return {
    window: { generation, epoch: Number(row.epoch), number: 0, incarnation: row.incarnation },
    to: parseSnapshot(row.to_snapshot),
  }
}

/** Records that Kafka holds a position of these shards: from now on its absence means loss. */
export async function recordInitialised(
  client: Client,
  row: {
    shards: readonly number[]
    generation: number
    relay: string
    clusterId: string
    progressTopicId: string
  },
): Promise<void> {
  await client.query('begin isolation level read committed; set local synchronous_commit = on')
  await client.query(
    `insert into outbox.initialised (shard, generation, relay, kafka_cluster_id, progress_topic_id)
     select shard, $2, $3, $4, $5 from unnest($1::smallint[]) as shard on conflict do nothing`,
    [row.shards, row.generation, row.relay, row.clusterId, row.progressTopicId],
  )
  await client.query('commit')
}
