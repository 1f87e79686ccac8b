import type { Client, ClientConfig } from 'pg'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { parseShardMap, type ShardDefinition } from '../sharing/shard-map.js'
import { readHolders, type Holder } from './holders.js'

/** What the database knows of an outbox and its relay. Ages are by the database's clock, milliseconds. */
export interface OutboxStatus {
  /** Of the shard map. */
  readonly generation: number
  readonly shards: readonly ShardOfOutbox[]
  /** The relay's processes that were heard of within an hour, the live ones first. */
  readonly members: readonly MemberOfRelay[]
  /** Transactions that hold their events back, the oldest first. */
  readonly holders: readonly Holder[]
  /** What all slots of `outbox.events` take on disk, indexes included. */
  readonly eventsBytes: number
}

export interface ShardOfOutbox extends ShardDefinition {
  /** The live process that publishes it; null when there is none. */
  readonly holder: string | null
  /** Of the last claim, and its age; null when it was never claimed. */
  readonly epoch: number | null
  readonly claimedMs: number | null
  /** Of the last window that held events, and its age; null when none was recorded. */
  readonly window: number | null
  readonly windowMs: number | null
}

export interface MemberOfRelay {
  readonly holder: string
  readonly relay: string
  /** Heard of within its lease, and not leaving. */
  readonly alive: boolean
  readonly heartbeatMs: number
  readonly leaseMs: number
}

interface MapRow {
  readonly generation: number
  readonly map: unknown
  readonly events_bytes: string
}
interface ShardRow {
  readonly shard: number
  readonly holder: string | null
  readonly epoch: string | null
  readonly claimed_ms: number | null
  readonly window_number: string | null
  readonly window_ms: number | null
}
interface MemberRow {
  readonly holder: string
  readonly relay: string
  readonly alive: boolean
  readonly heartbeat_ms: number
  readonly lease_ms: number
}

const readMap = `
select generation, map,
       (select coalesce(sum(pg_total_relation_size(inhrelid)), 0) from pg_inherits
         where inhparent = 'outbox.events'::regclass)::text as events_bytes
  from outbox.shard_map order by generation desc limit 1`

// Primary key of claims and the index on positions of windows, both backwards: a row each.
const readShards = `
select s.shard, c.holder, c.epoch, c.ms as claimed_ms, w.window_number, w.ms as window_ms
  from unnest($1::smallint[]) as s(shard)
  left join lateral (
    select case when exists (select from outbox.releases r where r.shard = c.shard and r.epoch = c.epoch)
                then null else c.holder end as holder,
           c.epoch, (extract(epoch from clock_timestamp() - c.at) * 1000)::float8 as ms
      from outbox.claims c where c.shard = s.shard order by c.epoch desc limit 1) c on true
  left join lateral (
    select w.window_number, (extract(epoch from clock_timestamp() - w.at) * 1000)::float8 as ms
      from outbox.windows w where w.shard = s.shard and w.generation = $2 and w.window_number > 0
     order by w.epoch desc, w.window_number desc limit 1) w on true
 order by s.shard`

// Index heartbeats_at.
const readMembers = `
select holder, relay, lease_ms, (extract(epoch from clock_timestamp() - at) * 1000)::float8 as heartbeat_ms,
       not leaving and at + lease_ms * interval '1 ms' > clock_timestamp() as alive
  from (select distinct on (holder) holder, relay, lease_ms, leaving, at from outbox.heartbeats
         where at > clock_timestamp() - interval '1 hour' order by holder, at desc) newest
 order by alive desc, heartbeat_ms
 limit 100`

/**
 * Who publishes what, as the database knows it; Kafka is not asked, so it answers while Kafka is down.
 * @throws OutboxError OUTBOX_SCHEMA_MISSING, RELAY_STANDBY_REFUSED; a driver error
 */
export async function readStatus(db: ClientConfig): Promise<OutboxStatus> {
  const client = await connectClient(db, 'oncebox status')
  try {
    await checkServer(client)
    return await statusOf(client)
  } finally {
    await client.end()
  }
}

async function statusOf(client: Client): Promise<OutboxStatus> {
  const [row] = (await client.query<MapRow>(readMap)).rows
  const map = parseShardMap(row?.generation ?? 0, row?.map)
  const members = (await client.query<MemberRow>(readMembers)).rows.map(
    ({ lease_ms: leaseMs, heartbeat_ms, ...member }) => ({
      ...member,
      leaseMs,
      heartbeatMs: ageOf(heartbeat_ms),
    }),
  )
  const alive = new Set(members.filter((member) => member.alive).map(({ holder }) => holder))
  const rows = await client.query<ShardRow>(readShards, [
    map.shards.map(({ shard }) => shard),
    map.generation,
  ])
  const found = new Map(rows.rows.map((each) => [each.shard, each]))
  const shards = map.shards.map((definition): ShardOfOutbox => {
    const { holder, epoch, claimed_ms, window_number, window_ms } = found.get(definition.shard) ?? unknown
    return {
      ...definition,
      holder: holder !== null && alive.has(holder) ? holder : null,
      epoch: epoch === null ? null : Number(epoch),
      claimedMs: claimed_ms === null ? null : ageOf(claimed_ms),
      window: window_number === null ? null : Number(window_number),
      windowMs: window_ms === null ? null : ageOf(window_ms),
    }
  })
  const holders = await readHolders(client)
  return { generation: map.generation, shards, members, holders, eventsBytes: Number(row?.events_bytes ?? 0) }
}

const unknown = { holder: null, epoch: null, claimed_ms: null, window_number: null, window_ms: null }

const ageOf = (ms: number): number => Math.max(0, Math.round(ms))
