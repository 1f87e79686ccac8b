import type { Client, QueryResultRow } from 'pg'
import { OutboxError } from '@oncebox/core'
import { checkSchema } from '@oncebox/outbox'
import { parseShardMap, type ShardMap } from '../sharing/shard-map.js'

/** What a start reads from the database before it touches Kafka. */
export interface DatabaseState {
  readonly lifeToken: string
  /** The shard map of the generation that was asked for. */
  readonly map: ShardMap
  readonly newestGeneration: number
  /** Whether the shard has a beginning: in the first generation it makes one itself, later the reshard does. */
  readonly begun: boolean
  /** Whether Kafka holds a position of this shard and generation. */
  readonly initialised: boolean
  /** The Kafka cluster and progress topic to which this outbox was bound at its first start; undefined before that. */
  readonly bound: { readonly clusterId: string; readonly progressTopicId: string } | undefined
}

interface StateRow {
  readonly token: string | null
  readonly generation: number
  readonly map: unknown
  readonly newest: number
  readonly begun: boolean
  readonly initialised: boolean
  readonly removed: boolean
  readonly cluster_id: string | null
  readonly topic_id: string | null
}

// A shard that is initialised has begun; the record of its window 0 may have been emptied since. A relay that follows a
// removed one is bound to nothing that the removed one was bound to.
const readState = `
select (select token from outbox.life) as token,
       m.generation, m.map, (select max(generation) from outbox.shard_map) as newest,
       m.generation = 1 or i.shard is not null
         or m.map -> 'adoption' is distinct from 'true'
            and exists (select from outbox.windows w
                         where w.shard = $1 and w.generation = m.generation and w.window_number = 0) as begun,
       i.shard is not null as initialised,
       exists (select from outbox.removals where relay = $3) as removed,
       b.kafka_cluster_id as cluster_id, b.progress_topic_id as topic_id
  from outbox.shard_map m
  left join outbox.initialised i on i.generation = m.generation and i.shard = $1
  left join (select kafka_cluster_id, progress_topic_id from outbox.initialised
              where generation > coalesce((select max(generation) from outbox.removals), 0)
              order by generation desc, at desc limit 1) b on true
 where m.generation = $2`

// The first relay after a crash or promotion begins a new life; two at once agree on one row.
const beginLife = `insert into outbox.life default values on conflict do nothing`

export interface DatabaseStateRequest {
  readonly relay: string
  readonly shard: number
  readonly generation: number
}

/** @throws OutboxError OUTBOX_SCHEMA_MISSING, OUTBOX_SERVER_UNSUPPORTED, RELAY_STANDBY_REFUSED, RELAY_REMOVED */
export async function readDatabaseState(
  client: Client,
  request: DatabaseStateRequest,
): Promise<DatabaseState> {
  await checkServer(client)
  let row = await readRow(client, request)
  if (row.token === null) {
    await client.query(beginLife)
    row = await readRow(client, request)
  }
  if (row.removed) throw removed(request.relay)
  if (row.token === null)
    throw new OutboxError('RELAY_LIFE_ENDED', 'the life token vanished while it was written')
  return {
    lifeToken: row.token,
    map: parseShardMap(row.generation, row.map),
    newestGeneration: row.newest,
    begun: row.begun,
    initialised: row.initialised,
    bound:
      row.cluster_id === null || row.topic_id === null
        ? undefined
        : { clusterId: row.cluster_id, progressTopicId: row.topic_id },
  }
}

/**
 * The server is a primary that has schema outbox.
 * @throws OutboxError OUTBOX_SCHEMA_MISSING, OUTBOX_SCHEMA_NEWER, OUTBOX_SERVER_UNSUPPORTED, RELAY_STANDBY_REFUSED
 */
export async function checkServer(client: Client): Promise<void> {
  await checkSchema({
    query: async <Row extends object>(sql: string, parameters: readonly unknown[] = []) => {
      const { rows, rowCount } = await client.query<Row & QueryResultRow>(sql, [...parameters])
      return { rows, rowCount: rowCount ?? 0 }
    },
  })
  // Asked alone and first: a standby refuses to read the life token, since unlogged tables do not exist there.
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
  if (rows[0]?.standby !== false)
    throw new OutboxError('RELAY_STANDBY_REFUSED', 'the database is a standby (pg_is_in_recovery)')
}

async function readRow(
  client: Client,
  { relay, shard, generation }: DatabaseStateRequest,
): Promise<StateRow> {
  const { rows } = await client.query<StateRow>(readState, [shard, generation, relay])
  const [row] = rows
  if (row === undefined)
    throw new OutboxError(
      'OUTBOX_SCHEMA_MISSING',
      `outbox.shard_map has no generation ${generation}: the schema is damaged`,
    )
  return row
}

export const removed = (relay: string): OutboxError =>
  new OutboxError('RELAY_REMOVED', `relay ${relay} was removed from this outbox`, { details: { relay } })
