import type { TopicOffsets } from '@oncebox/kafka'
import { assertInRange, notThereYet, type ReadTopicOffsets } from './log-range.js'
import type { PartitionKey, PositionStore, StoredPosition } from './position-store.js'
import { firstOffset, type Beginning } from './start-at.js'

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
  beginning: Beginning,
  signal: AbortSignal,
): Promise<readonly PartitionStart[]> {
  // The token first: whatever is read after it belongs to this life of the database or a later one.
  const token = await positions.lifeToken()
  const offsets = await topicOffsets(topic, signal)
  const { topicId } = offsets
  // Before it is written: a position that was written wins over whatever is said later.
  if (beginning.offsets.size > 0) {
    const known = await positions.read(topicId)
    const given = [...beginning.offsets].filter(([partition]) => !known.has(partition))
    const firsts = given.map(([partition, next]) => ({ key: { topic, topicId, partition }, next }))
    await assertInRange(topicOffsets, topic, firsts, signal)
  }
  const stored = await storedOrFirst(positions, topic, offsets, beginning)
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
  beginning: Beginning,
): Promise<ReadonlyMap<number, StoredPosition>> {
  const stored = await positions.read(topicId)
  const missing = [...partitions].filter(([partition]) => !stored.has(partition))
  if (missing.length === 0) return stored
  const isAdded = stored.size > 0
  await positions.insert(
    topic,
    topicId,
    new Map(missing.map(([partition, log]) => [partition, firstOffset(beginning, partition, log, isAdded)])),
  )
  return await positions.read(topicId)
}
