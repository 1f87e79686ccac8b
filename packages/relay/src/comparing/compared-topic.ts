import {
  readTopicSettings,
  offsetSince,
  untilDecided,
  type DecidedRange,
  type KafkaClient,
} from '@oncebox/kafka'

/** A topic as a comparison reads it. */
export interface ComparedTopic {
  readonly name: string
  /** By partition: what is still there, all of it decided. */
  readonly partitions: readonly ComparedPartition[]
  /** The cleaner removes records one by one, so that a missing one says nothing. */
  readonly isCompacted: boolean
}

interface ComparedPartition extends DecidedRange {
  /** Where reading begins: `start`, or later when only newer events are compared. */
  readonly from: bigint
}

export interface DescribeComparedOptions {
  /** How long open transactions are waited for. */
  readonly decidedWithinMs: number
  readonly sinceMs?: number
  readonly signal: AbortSignal
}

/** @throws OutboxError KAFKA_PARTITION_UNDECIDED, KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED */
export async function describeComparedTopic(
  kafka: KafkaClient,
  name: string,
  { decidedWithinMs, sinceMs, signal }: DescribeComparedOptions,
): Promise<ComparedTopic> {
  const ranges = await untilDecided(kafka, name, { withinMs: decidedWithinMs, signal })
  const settings = await readTopicSettings(kafka, name, ['cleanup.policy', 'message.timestamp.type'], signal)
  // The relay stamps records with the time of their event. Where the broker stamps them instead, clocks may disagree.
  const timestampMs = settings.get('message.timestamp.type') === 'CreateTime' ? sinceMs : undefined
  const partitions = await Promise.all(
    ranges.map(async (range, partition) => {
      if (timestampMs === undefined) return { ...range, from: range.start }
      const time = { timestampMs, otherwise: range.end }
      return { ...range, from: await offsetSince(kafka, { topic: name, partition }, time, signal) }
    }),
  )
  return { name, partitions, isCompacted: (settings.get('cleanup.policy') ?? '').includes('compact') }
}
