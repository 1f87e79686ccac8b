import { delay, OutboxError } from '@oncebox/core'
import type { AttemptStore } from './attempt-store.js'
import type { ClusterFacts, LogRange } from './cluster-facts.js'
import type { PartitionStart } from './partition.js'
import type { PartitionKey, PositionStore, StoredPosition } from './position-store.js'

export interface Positioning {
  readonly positions: PositionStore
  readonly attempts: AttemptStore
  readonly cluster: ClusterFacts
}

/**
 * Reads where the partitions of a topic stand, from the database: its positions win over Kafka's offsets, because a
 * restored or failed-over database has lost effects that Kafka believes done. First positions are written before
 * anything is fetched.
 * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE
 */
export async function readStarts(
  { positions, attempts, cluster }: Positioning,
  topic: string,
  partitions: readonly number[],
  signal: AbortSignal,
): Promise<readonly PartitionStart[]> {
  // The token first: whatever is read after it belongs to this life of the database or a later one.
  const token = await positions.lifeToken()
  const topicId = await cluster.topicId(topic)
  const stored = await storedOrFirst({ positions, cluster }, topic, topicId)
  return await Promise.all(
    partitions.map(async (partition) => {
      const key: PartitionKey = { topic, topicId, partition }
      const position = stored.get(partition)
      if (position === undefined) throw notThereYet(key)
      await assertInRange(cluster, key, position.next, signal)
      return { key, token, position, known: await attempts.read(key) }
    }),
  )
}

/** The stored positions; what is missing is written first. */
async function storedOrFirst(
  { positions, cluster }: Pick<Positioning, 'positions' | 'cluster'>,
  topic: string,
  topicId: string,
): Promise<ReadonlyMap<number, StoredPosition>> {
  const stored = await positions.read(topicId)
  const ranges = await cluster.logRanges(topic)
  const missing = [...ranges].filter(([partition]) => !stored.has(partition))
  if (missing.length === 0) return stored
  // A consumer that knows the topic reads a new partition from 0, or it would skip what came before it noticed. One
  // that sees the topic for the first time begins with what is still there.
  const isNewConsumer = stored.size === 0
  await positions.insert(
    topic,
    topicId,
    new Map(missing.map(([partition, { low }]) => [partition, isNewConsumer ? low : 0n])),
  )
  return await positions.read(topicId)
}

// After a leader change the end of the log may lag behind what was read before, for a moment.
const rangeTries = 20
const rangeTryMs = 500

async function assertInRange(
  cluster: ClusterFacts,
  key: PartitionKey,
  next: bigint,
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 1; ; turn += 1) {
    const range = (await cluster.logRanges(key.topic)).get(key.partition)
    if (range !== undefined && range.low <= next && next <= range.high) return
    const mayPass = range === undefined || next > range.high
    if (!mayPass || turn >= rangeTries) throw outOfRange(key, next, range)
    await delay(rangeTryMs, signal)
  }
}

/** Retriable: a partition that was just added is known to the group before it is known everywhere. */
function notThereYet({ topic, partition }: PartitionKey): OutboxError {
  return new OutboxError(
    'KAFKA_TOPIC_UNAVAILABLE',
    `${topic}-${partition} was assigned, but no broker knows it yet`,
    {
      details: { topic, partition },
    },
  )
}

function outOfRange(
  { topic, topicId, partition }: PartitionKey,
  next: bigint,
  range: LogRange | undefined,
): OutboxError {
  const log = range === undefined ? 'is not there' : `holds ${range.low} to ${range.high}`
  return new OutboxError(
    'CONSUMER_POSITION_OUT_OF_RANGE',
    `${topic}-${partition}: the position is ${next}, but the log ${log}`,
    {
      details: {
        topic,
        topicId,
        partition,
        position: String(next),
        ...(range === undefined ? {} : { low: String(range.low), high: String(range.high) }),
      },
    },
  )
}
