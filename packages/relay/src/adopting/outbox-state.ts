import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { decodePosition, type Position } from '../position.js'
import { removed } from '../opening/database-state.js'
import { findDivergence } from '../opening/prove-position.js'
import { parseShardMap, type ShardMap } from '../sharing/shard-map.js'
import { readLastValue, readTopicOffsets, type KafkaClient, type TopicIdentity } from '@oncebox/kafka'
import { positionKey } from '../opening/open-shard.js'

/** What the database says of an outbox before anything is repaired. */
export interface OutboxState {
  /** The newest shard map. */
  readonly map: ShardMap
  /** Every shard that was in a map. */
  readonly shardsEverMapped: readonly number[]
  /** Its shards have their window 0; of an adoption, everything is decided. */
  readonly isRecorded: boolean
  /** Relays may publish its shards. */
  readonly isBegun: boolean
  /** Whether Kafka once had a position of some shard. */
  readonly wasPublished: boolean
  /** Where it was last published to. */
  readonly bound:
    { readonly relay: string; readonly clusterId: string; readonly progressTopicId: string } | undefined
}

interface StateRow {
  readonly generation: number
  readonly map: unknown
  readonly ever: readonly number[]
  readonly recorded: boolean
  readonly initialised: boolean
  readonly removed: boolean
  readonly relay: string | null
  readonly cluster_id: string | null
  readonly topic_id: string | null
}

const readState = `
with newest as (select generation, map from outbox.shard_map order by generation desc limit 1)
select n.generation, n.map,
       (select array_agg(distinct s.shard)
          from outbox.shard_map m cross join jsonb_to_recordset(m.map -> 'shards') as s(shard integer)) as ever,
       not exists (select from jsonb_to_recordset(n.map -> 'shards') as s(shard smallint)
                    where not exists (select from outbox.windows w
                                       where w.shard = s.shard and w.generation = n.generation and w.window_number = 0)) as recorded,
       not exists (select from jsonb_to_recordset(n.map -> 'shards') as s(shard smallint)
                    where not exists (select from outbox.initialised i
                                       where i.shard = s.shard and i.generation = n.generation)) as initialised,
       exists (select from outbox.removals where relay = $1) as removed,
       b.relay, b.kafka_cluster_id as cluster_id, b.progress_topic_id as topic_id
  from newest n
  left join (select relay, kafka_cluster_id, progress_topic_id from outbox.initialised
              where generation > coalesce((select max(generation) from outbox.removals), 0)
              order by generation desc, at desc limit 1) b on true`

/** @throws OutboxError OUTBOX_SCHEMA_MISSING, RELAY_SHARD_MAP_INVALID, RELAY_REMOVED */
export async function readOutboxState(client: Client, relayName: string): Promise<OutboxState> {
  const { rows } = await client.query<StateRow>(readState, [relayName])
  const [row] = rows
  if (row === undefined)
    throw new OutboxError('OUTBOX_SCHEMA_MISSING', 'outbox.shard_map is empty: the schema is damaged')
  if (row.removed) throw removed(relayName)
  const map = parseShardMap(row.generation, row.map)
  const { relay, cluster_id: clusterId, topic_id: progressTopicId } = row
  const bound =
    relay === null || clusterId === null || progressTopicId === null
      ? undefined
      : { relay, clusterId, progressTopicId }
  return {
    map,
    shardsEverMapped: row.ever,
    isRecorded: row.recorded,
    isBegun: map.isAdoption ? row.initialised : map.generation === 1 || row.initialised || row.recorded,
    wasPublished: bound !== undefined,
    bound,
  }
}

/** The progress topic, undefined when there is none. */
export async function findProgressTopic(
  kafka: KafkaClient,
  topic: string,
  signal: AbortSignal,
): Promise<TopicIdentity | undefined> {
  try {
    return await kafka.identifyTopic(topic, { refresh: true, signal })
  } catch (error) {
    if (OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE')) return undefined
    throw error
  }
}

/** The last position of a shard in Kafka, as it can be read without taking the shard. */
export async function readPosition(
  kafka: KafkaClient,
  progress: TopicIdentity,
  shard: number,
  signal: AbortSignal,
): Promise<Position | undefined> {
  const { partitions } = await readTopicOffsets(kafka, progress.name, { signal })
  const end = partitions.get(shard)?.lastStableOffset
  if (end === undefined) return undefined
  const at = { topic: progress.name, partition: shard, key: positionKey, beforeOffset: end, signal }
  const found = await readLastValue(kafka, at)
  return found === null ? undefined : decodePosition(found.value)
}

/** Why the relay cannot go on by itself: a sentence for each reason, none when it can. */
export async function reasonsToAdopt(
  client: Client,
  kafka: KafkaClient,
  state: OutboxState,
  progressTopic: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { map, bound } = state
  if (map.isAdoption && !state.isBegun) return ['an adoption was begun and is not finished']
  const progress = await findProgressTopic(kafka, progressTopic, signal)
  if (progress === undefined)
    return bound === undefined
      ? []
      : [`Kafka has no progress topic ${progressTopic}, and the outbox was published before`]
  if (bound !== undefined && bound.clusterId !== kafka.clusterId)
    return [`the outbox was published to Kafka cluster ${bound.clusterId}, this is ${kafka.clusterId}`]
  if (bound !== undefined && bound.progressTopicId !== progress.topicId)
    return [`the progress topic ${progressTopic} was re-created`]
  const reasons: string[] = []
  for (const { shard } of map.shards) {
    const position = await readPosition(kafka, progress, shard, signal)
    const reason = await reasonOfShard(client, kafka, state, progress, shard, position)
    if (reason !== undefined) reasons.push(`shard ${shard}: ${reason}`)
  }
  return reasons
}

/** As the start of a shard judges its position: see open-shard.ts. */
async function reasonOfShard(
  client: Client,
  kafka: KafkaClient,
  { map, bound, isBegun }: OutboxState,
  progress: TopicIdentity,
  shard: number,
  position: Position | undefined,
): Promise<string | undefined> {
  const { rows } = await client.query<{ initialised: boolean }>(
    'select exists (select from outbox.initialised where shard = $1 and generation = $2) as initialised',
    [shard, map.generation],
  )
  const initialised = rows[0]?.initialised === true
  if (position === undefined) return initialised ? 'Kafka has lost its position' : undefined
  if (position.clusterId !== kafka.clusterId || position.progressTopicId !== progress.topicId)
    return 'its position was written in another Kafka cluster or topic'
  // While a reshard is under way the old shards still publish.
  const isEnding = !isBegun && position.window.generation === map.generation - 1
  if (position.window.generation !== map.generation && !isEnding) {
    const { closedFor } = position
    return closedFor !== undefined &&
      closedFor <= map.generation &&
      position.window.generation < map.generation
      ? undefined
      : `its position is of shard map ${position.window.generation}, and the newest is ${map.generation}`
  }
  if (bound === undefined && position.batch > 0)
    return 'Kafka has a position, and the database has never published'
  return await findDivergence(client, shard, position)
}
