import { delay, OutboxError } from '@oncebox/core'
import type { PartitionOffsets, TopicOffsets } from '@oncebox/kafka'
import type { PartitionKey } from './position-store.js'

/** The id of the topic that has this name now, and what its logs hold. */
export type ReadTopicOffsets = (topic: string, signal: AbortSignal) => Promise<TopicOffsets>

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
