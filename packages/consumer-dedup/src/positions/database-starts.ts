import { delay, OutboxError } from '@oncebox/core'
import type { PartitionOffsets, TopicOffsets } from '@oncebox/kafka'
import type { StartAt } from './group-position.js'
import type { PartitionKey, PositionStore, StoredPosition } from './position-store.js'

/** The id of the topic that has this name now, and what its logs hold. */
type ReadTopicOffsets = (topic: string, signal: AbortSignal) => Promise<TopicOffsets>

/** Where a partition begins, as the database has it. */
export interface PartitionStart {
  readonly key: PartitionKey
  /** The life token that was read before the position. */
  readonly token: string
  readonly position: StoredPosition
}

/**
 * Reads where the partitions of a topic stand, from the database: its positions win over Kafka's offsets, because a
 * restored or failed-over database has lost effects that Kafka believes done. First positions are written before
 * anything is fetched.
 * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE
 */
export async function readStarts(
  positions: PositionStore,
  topicOffsets: ReadTopicOffsets,
  topic: string,
  partitions: readonly number[],
  startAt: StartAt,
  signal: AbortSignal,
): Promise<readonly PartitionStart[]> {
  // The token first: whatever is read after it belongs to this life of the database or a later one.
  const token = await positions.lifeToken()
  const offsets = await topicOffsets(topic, signal)
  const { topicId } = offsets
  const stored = await storedOrFirst(positions, topic, offsets, startAt)
  const starts = partitions.map((partition) => {
    const position = stored.get(partition)
    if (position === undefined) throw notThereYet({ topic, partition })
    return { key: { topic, topicId, partition }, token, position }
  })
  await assertInRange(
    topicOffsets,
    topic,
    starts.map(({ key, position }) => ({ key, next: position.next })),
    signal,
  )
  return starts
}

/** The stored positions; what is missing is written first. */
async function storedOrFirst(
  positions: PositionStore,
  topic: string,
  { topicId, partitions }: TopicOffsets,
  startAt: StartAt,
): Promise<ReadonlyMap<number, StoredPosition>> {
  const stored = await positions.read(topicId)
  const missing = [...partitions].filter(([partition]) => !stored.has(partition))
  if (missing.length === 0) return stored
  // A consumer that knows the topic reads a new partition from 0, or it would skip what came before it noticed. One
  // that sees the topic for the first time begins with what is still there, or with what comes.
  const isNewConsumer = stored.size === 0
  const first = ({ logStartOffset, lastStableOffset }: PartitionOffsets): bigint =>
    startAt === 'latest' ? lastStableOffset : logStartOffset
  await positions.insert(
    topic,
    topicId,
    new Map(missing.map(([partition, log]) => [partition, isNewConsumer ? first(log) : 0n])),
  )
  return await positions.read(topicId)
}

// After a leader change the end of the log may lag behind what was read before, for a moment.
const rangeTries = 20
const rangeTryMs = 500

/**
 * Whether the positions are inside their logs; patient, since the end of a log may lag behind for a moment.
 * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE
 */
export async function assertInRange(
  topicOffsets: ReadTopicOffsets,
  topic: string,
  starts: readonly { readonly key: PartitionKey; readonly next: bigint }[],
  signal: AbortSignal,
): Promise<void> {
  for (let turn = 1; ; turn += 1) {
    const { partitions } = await topicOffsets(topic, signal)
    const outside = starts.find(({ key, next }) => !isWithin(partitions.get(key.partition), next))
    if (outside === undefined) return
    const { key, next } = outside
    const log = partitions.get(key.partition)
    const mayPass = log === undefined || next > log.lastStableOffset
    if (!mayPass || turn >= rangeTries) throw outOfRange(key, next, log)
    await delay(rangeTryMs, signal)
  }
}

const isWithin = (log: PartitionOffsets | undefined, next: bigint): boolean =>
  log !== undefined && log.logStartOffset <= next && next <= log.lastStableOffset

/** Retriable: a partition that was just added is known to the group before it is known everywhere. */
export function notThereYet({ topic, partition }: Pick<PartitionKey, 'topic' | 'partition'>): OutboxError {
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
  log: PartitionOffsets | undefined,
): OutboxError {
  const holds = log === undefined ? 'is not there' : `holds ${log.logStartOffset} to ${log.lastStableOffset}`
  return new OutboxError(
    'CONSUMER_POSITION_OUT_OF_RANGE',
    `${topic}-${partition}: the position is ${next}, but the log ${holds}`,
    {
      details: {
        topic,
        topicId,
        partition,
        position: String(next),
        ...(log === undefined ? {} : { low: String(log.logStartOffset), high: String(log.lastStableOffset) }),
      },
    },
  )
}
