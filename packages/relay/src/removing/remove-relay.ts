import { randomUUID } from 'node:crypto'
import type { Client, ClientConfig } from 'pg'
import { faultPoint, OutboxError } from '@oncebox/core'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { beginNext } from '../resharding/close-generation.js'
import { lockClass } from '../sharing/claim-shard.js'
import { parseShardMap, shardCondition } from '../sharing/shard-map.js'

/** A relay that is to be removed, as the database knows it. */
export interface RelayRemoval {
  readonly relay: string
  /** The generation of the shard map that it published last. */
  readonly generation: number
  readonly shards: number
  /** Processes of it that gave a sign of life within their lease: they are fenced and stop. */
  readonly running: number
  /** Events that are in no window that it has recorded, counted up to a million: nobody will publish them. */
  readonly unread: number
  /** It was removed before; nothing is left to do. */
  readonly already: boolean
}

export interface RemoveRelayOptions {
  /** Asked before anything is done; false leaves everything as it is. Default: yes. */
  readonly approve?: (removal: RelayRemoval) => Promise<boolean> | boolean
}

/**
 * Retires a relay: its shards are fenced in the database and never claimed again under its name, and rotation goes by
 * them no more. The next relay of this outbox, under another name, begins behind the removal: with the events that
 * commit after it. Works without Kafka. Interrupted, it can be run again.
 *
 * @returns What was removed; undefined when it was not approved.
 * @throws OutboxError RELAY_UNKNOWN, RELAY_RESHARDING, OUTBOX_SCHEMA_MISSING, RELAY_STANDBY_REFUSED
 */
export async function removeRelay(
  db: ClientConfig,
  relay: string,
  { approve = () => true }: RemoveRelayOptions = {},
): Promise<RelayRemoval | undefined> {
  const client = await connectClient(db, `oncebox-relay ${relay} removal`)
  try {
    await checkServer(client)
    const { removal, isRecorded } = await look(client, relay)
    if (removal.already) return removal
    if (!isRecorded) {
      if (!(await approve(removal))) return undefined
      await fence(client, removal)
    }
    await faultPoint('relay.removal.recorded')
    await beginAnew(client, removal.generation)
    return removal
  } finally {
    await client.end().catch(() => undefined)
  }
}

interface LookRow {
  readonly removed_generation: number | null
  readonly newest: number
  readonly map: unknown
  readonly begun: boolean
  readonly published_by: string | null
  readonly running: number
}

// `published_by` of the newest generation alone: what an older relay has published is an older removal's.
const readRelay = `
select (select generation from outbox.removals where relay = $1) as removed_generation,
       m.generation as newest, m.map,
       not exists (select from jsonb_to_recordset(m.map -> 'shards') as s(shard smallint)
                    where not exists (select from outbox.windows w
                                       where w.shard = s.shard and w.generation = m.generation and w.window_number = 0)
                      and not exists (select from outbox.initialised i
                                       where i.shard = s.shard and i.generation = m.generation)) as begun,
       (select relay from outbox.claims where generation = m.generation order by at desc limit 1) as published_by,
       (select count(*)::int from (
          select distinct on (holder) leaving, at + lease_ms * interval '1 ms' > clock_timestamp() as alive
            from outbox.heartbeats where relay = $1 and at > clock_timestamp() - interval '1 day'
           order by holder, at desc) h where alive and not leaving) as running
  from outbox.shard_map m order by m.generation desc limit 1`

async function look(client: Client, relay: string): Promise<{ removal: RelayRemoval; isRecorded: boolean }> {
  const { rows } = await client.query<LookRow>(readRelay, [relay])
  const [row] = rows
  if (row === undefined)
    throw new OutboxError('OUTBOX_SCHEMA_MISSING', 'outbox.shard_map is empty: the schema is damaged')
  const isRecorded = row.removed_generation !== null
  const generation = row.removed_generation ?? row.newest
  const facts = { relay, generation, shards: shardsOf(row), running: row.running }
  if (isRecorded) {
    // Interrupted before the next generation had a beginning, or long done.
    const already = row.newest > generation && (row.newest > generation + 1 || row.begun)
    return { removal: { ...facts, unread: 0, already }, isRecorded }
  }
  if (row.published_by !== relay) {
    const by = row.published_by === null ? 'no relay' : `relay ${row.published_by}`
    throw new OutboxError('RELAY_UNKNOWN', `${relay} does not publish this outbox: ${by} does`, {
      details: { relay, publishedBy: row.published_by },
    })
  }
  if (generation > 1 && !row.begun) {
    throw new OutboxError('RELAY_RESHARDING', `the reshard to generation ${generation} is not finished`, {
      details: { generation },
    })
  }
  return { removal: { ...facts, unread: await countUnread(client, row), already: false }, isRecorded }
}

const shardsOf = ({ newest, map }: LookRow): number => parseShardMap(newest, map).shards.length

const unreadMax = 1_000_000

/** Events behind the newest window record of their shard. */
async function countUnread(client: Client, { newest, map: value }: LookRow): Promise<number> {
  const map = parseShardMap(newest, value)
  let unread = 0
  for (const definition of map.shards) {
    const own = shardCondition(definition, map)
    const { rows } = await client.query<{ unread: number }>(
      `select count(*)::int as unread
         from (select from outbox.events e
                where not pg_visible_in_snapshot(e.txid, coalesce((select to_snapshot from outbox.windows
                        where shard = $1 and generation = $2 order by epoch desc, window_number desc limit 1), '3:3:'))
                      ${own === '' ? '' : `and ${own}`}
                limit ${unreadMax - unread}) e`,
      [definition.shard, newest],
    )
    unread += rows[0]?.unread ?? 0
  }
  return unread
}

// The epoch of every shard is raised: whoever is at work is fenced, and whatever he reads was visible before. The lock is
// taken exclusively, as by a claim, so no statement that checked the old epoch is still on its way.
const insertClaims = `
insert into outbox.claims (shard, epoch, generation, relay, incarnation, holder, kafka_cluster_id, progress_topic, progress_topic_id)
select distinct on (c.shard) c.shard, c.epoch + 1, $1, $2, $3, 'removed', c.kafka_cluster_id, c.progress_topic, c.progress_topic_id
  from outbox.claims c
  join outbox.shard_map m on m.generation = $1
  join jsonb_to_recordset(m.map -> 'shards') as s(shard smallint) on s.shard = c.shard
 order by c.shard, c.epoch desc`

/** In one transaction: from its commit on, the relay is removed for everybody. */
async function fence(client: Client, { relay, generation }: RelayRemoval): Promise<void> {
  await client.query('begin isolation level read committed; set local synchronous_commit = on')
  try {
    await client.query(
      `select pg_advisory_xact_lock($1, shard)
         from (select s.shard from outbox.shard_map m
                cross join jsonb_to_recordset(m.map -> 'shards') as s(shard smallint)
                where m.generation = $2 order by s.shard) s`,
      [lockClass, generation],
    )
    await client.query(insertClaims, [generation, relay, randomUUID()])
    await client.query('insert into outbox.removals (relay, generation) values ($1, $2)', [relay, generation])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/**
 * The next generation begins at a snapshot that is taken now, after the fence is committed: what the removed relay has
 * read was visible before. Three transactions, since the snapshot must not be younger than the id of the one that
 * records it.
 */
async function beginAnew(client: Client, generation: number): Promise<void> {
  await client.query('set synchronous_commit = on')
  await client.query(
    `insert into outbox.shard_map (generation, map) select $1::int + 1, map from outbox.shard_map where generation = $1
     on conflict do nothing`,
    [generation],
  )
  await client.query(
    'insert into outbox.reshards (generation, to_snapshot) values ($1, pg_current_snapshot()) on conflict do nothing',
    [generation + 1],
  )
  await beginNext(client, generation + 1)
}
