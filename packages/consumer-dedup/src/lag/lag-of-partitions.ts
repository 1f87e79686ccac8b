import type { PartitionProgress, TopicOffsets } from '@oncebox/kafka'
import type { PartitionKey } from '../positions/position-store.js'
import { partitionLag, type PartitionLag } from './partition-lag.js'

/** What fetches told counts for so long. */
const freshMs = 1_000

interface Positioned {
  readonly key: PartitionKey
  readonly next: bigint
}

interface LagSources {
  readonly progress: (key: PartitionKey) => PartitionProgress | undefined
  readonly topicOffsets: (topic: string, signal: AbortSignal) => Promise<TopicOffsets>
}

/**
 * How far partitions are behind: what the last fetch told, or what the leader says where nothing is fetched, since a handler
 * takes long or the partition is paused. Left out is a partition whose topic was created again.
 * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_TOPIC_UNAVAILABLE
 */
export async function lagOfPartitions(
  partitions: readonly Positioned[],
  { progress, topicOffsets }: LagSources,
  signal: AbortSignal,
): Promise<readonly PartitionLag[]> {
  const told = new Map<Positioned, bigint>()
  const silent: Positioned[] = []
  for (const one of partitions) {
    const { lastStableOffset, logAgeMs = Infinity } = progress(one.key) ?? {}
    if (lastStableOffset !== undefined && logAgeMs <= freshMs) told.set(one, lastStableOffset)
    else silent.push(one)
  }
  await Promise.all(
    [...new Set(silent.map(({ key }) => key.topic))].map(async (topic) => {
      const { topicId, partitions: logs } = await topicOffsets(topic, signal)
      for (const one of silent) {
        const log = logs.get(one.key.partition)
        if (one.key.topicId === topicId && log !== undefined) told.set(one, log.lastStableOffset)
      }
    }),
  )
  return partitions.flatMap((one) => {
    const end = told.get(one)
    return end === undefined ? [] : [partitionLag(one.key, one.next, end)]
  })
}
