import type { Client } from 'pg'
import { connectKafka, readLastValue, readTopicOffsets, type KafkaClient } from '@oncebox/kafka'
import { connectClient } from '../database-connections.js'
import { positionKey } from '../opening/open-shard.js'
import { checkServer } from '../opening/database-state.js'
import { resolveOptions, type RelayOptions, type ResolvedRelayOptions } from '../options.js'
import { decodePosition, type Position } from '../position.js'
import { beginning, parseSnapshot, type Snapshot } from '../reading/snapshot.js'
import { parseShardMap, shardCondition, type ShardMap } from '../sharing/shard-map.js'
import { readBacklog, type Backlog, type Unpublished } from './backlog.js'
import { readHolders, type Holder } from './holders.js'

/** How far a relay is behind. */
export interface OutboxLag {
  readonly relay: string
  readonly generation: number
  readonly shards: readonly ShardLag[]
  /** Transactions that hold their events back, the oldest first. */
  readonly holders: readonly Holder[]
}

export interface ShardLag {
  readonly shard: number
  readonly lane: string
  /** Undefined when it could not be told within two seconds: more than can be counted. */
  readonly backlog: Backlog | undefined
  /** Events that were published of this shard since its beginning; undefined before that. */
  readonly eventsTotal: number | undefined
}

/**
 * How many events are committed and not published, by shard, and how old the oldest is: the positions in Kafka against what
 * the database holds. Reads only; needs no relay that runs, and disturbs none.
 *
 * @throws OutboxError RELAY_OPTIONS_INVALID, KAFKA_TOPIC_UNAVAILABLE, KAFKA_PROGRESS_CORRUPT and others; a driver error
 */
export async function readLag(
  relayOptions: RelayOptions,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<OutboxLag> {
  const options = resolveOptions(relayOptions)
  const client = await connectClient(options.db, `oncebox-relay ${options.name} lag`)
  try {
    await checkServer(client)
    const { map, initialised } = await readMap(client)
    const positions = initialised ? await positionsOf(options, map, signal) : new Map<number, Position>()
    const shards: ShardLag[] = []
    for (const definition of map.shards) {
      const { shard, lane } = definition
      const position = positions.get(shard)
      const stands =
        position === undefined ? await beginningOf(client, shard, map.generation) : standsAt(position)
      const condition = shardCondition(definition, map)
      const backlog = await readBacklog(client, { ...stands, condition })
      shards.push({ shard, lane, backlog, eventsTotal: position?.eventsTotal })
    }
    return { relay: options.name, generation: map.generation, shards, holders: await readHolders(client) }
  } finally {
    await client.end()
  }
}

async function readMap(client: Client): Promise<{ map: ShardMap; initialised: boolean }> {
  const { rows } = await client.query<{ generation: number; map: unknown; initialised: boolean }>(
    `select generation, map, exists (select from outbox.initialised) as initialised
       from outbox.shard_map order by generation desc limit 1`,
  )
  const [row] = rows
  return { map: parseShardMap(row?.generation ?? 0, row?.map), initialised: row?.initialised ?? false }
}

/** The last position of each shard that has one of this shard map. */
async function positionsOf(
  options: ResolvedRelayOptions,
  map: ShardMap,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<number, Position>> {
  const kafka = await connectKafka(options.kafka, signal === undefined ? {} : { signal })
  try {
    const { partitions } = await readTopicOffsets(kafka, options.progressTopic, { ...(signal && { signal }) })
    const positions = new Map<number, Position>()
    for (const { shard } of map.shards) {
      const offsets = partitions.get(shard)
      if (offsets === undefined) continue
      const position = await lastPosition(kafka, {
        topic: options.progressTopic,
        partition: shard,
        beforeOffset: offsets.lastStableOffset,
        ...(signal && { signal }),
      })
      if (position?.window.generation === map.generation) positions.set(shard, position)
    }
    return positions
  } finally {
    await kafka.close()
  }
}

async function lastPosition(
  kafka: KafkaClient,
  at: Omit<Parameters<typeof readLastValue>[1], 'key'>,
): Promise<Position | undefined> {
  const found = await readLastValue(kafka, { ...at, key: positionKey })
  return found === null ? undefined : decodePosition(found.value)
}

type Stands = Omit<Unpublished, 'condition'>

const standsAt = ({ from, to, lastSeq, complete }: Position): Stands =>
  complete ? { from: to, to: undefined, after: 0n } : { from, to, after: lastSeq }

/** Where a shard begins that has published nothing yet. */
async function beginningOf(client: Client, shard: number, generation: number): Promise<Stands> {
  const { rows } = await client.query<{ to_snapshot: string }>(
    `select to_snapshot::text as to_snapshot from outbox.windows
      where shard = $1 and generation = $2 and window_number = 0 order by epoch limit 1`,
    [shard, generation],
  )
  const from: Snapshot = rows[0] === undefined ? beginning : parseSnapshot(rows[0].to_snapshot)
  return { from, to: undefined, after: 0n }
}
