import type { SqlConnection } from '@oncebox/core'
import { connectKafka, readGroupOffsets, readTopicOffsets, type KafkaOptions } from '@oncebox/kafka'
import { isOfTopic } from '../positions/offset-note.js'
import { readAllPositions } from '../sql/read-all-positions.js'
import { partitionLag, type PartitionLag } from './partition-lag.js'

/** A partition from outside: it may have no position yet. */
export type StandingPartition = Omit<PartitionLag, 'position'> & {
  /** Undefined: nothing was recorded, and all that the log holds is to come. */
  readonly position: string | undefined
}

interface ReadLagOptions {
  readonly kafka: KafkaOptions
  /** Default: those in which there is a position. */
  readonly topics?: readonly string[]
  readonly signal?: AbortSignal
}

interface Position {
  readonly topic: string
  readonly partition: number
  readonly next: bigint
  isOf(topicId: string): boolean
}

type ReadPositions = () => Promise<readonly Position[]>

/**
 * How far a consumer group is behind, by what it has committed in Kafka: any group, of any client.
 * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
 */
export async function readGroupLag({
  group,
  ...options
}: ReadLagOptions & { readonly group: string }): Promise<readonly StandingPartition[]> {
  await using client = await connectKafka(options.kafka, signalOf(options))
  return await standing(client, options, async () => {
    const offsets = await readGroupOffsets(client, { groupId: group, ...signalOf(options) })
    return offsets.map((committed) => ({
      topic: committed.topic,
      partition: committed.partition,
      next: committed.offset,
      isOf: (topicId: string) => isOfTopic(committed, topicId),
    }))
  })
}

/**
 * How far a consumer is behind whose positions are in a database: those win over what is committed in Kafka.
 * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED
 */
export async function readConsumerLag({
  consumer,
  connection,
  ...options
}: ReadLagOptions & {
  readonly consumer: string
  readonly connection: SqlConnection
}): Promise<readonly StandingPartition[]> {
  await using client = await connectKafka(options.kafka, signalOf(options))
  return await standing(client, options, async () => {
    const { rows } = await connection.query<{
      topic: string
      topic_id: string
      partition: number
      next: string
    }>(readAllPositions, [consumer])
    return rows.map(({ topic, topic_id, partition, next }) => ({
      topic,
      partition,
      next: BigInt(next),
      isOf: (topicId: string) => topic_id === topicId,
    }))
  })
}

/** Positions first: what they are compared with is not older than they are. */
async function standing(
  client: Parameters<typeof readTopicOffsets>[0],
  options: ReadLagOptions,
  read: ReadPositions,
): Promise<readonly StandingPartition[]> {
  const positions = await read()
  const topics = options.topics ?? [...new Set(positions.map(({ topic }) => topic))].toSorted()
  const found = await Promise.all(
    topics.map(async (topic) => {
      const { topicId, partitions } = await readTopicOffsets(client, topic, signalOf(options))
      const own = positions.filter((one) => one.topic === topic && one.isOf(topicId))
      return [...partitions].map(([partition, { logStartOffset, lastStableOffset }]) => {
        const position = own.find((one) => one.partition === partition)?.next
        const lag = partitionLag({ topic, partition }, position ?? logStartOffset, lastStableOffset)
        return { ...lag, position: position === undefined ? undefined : lag.position }
      })
    }),
  )
  return found.flat()
}

const signalOf = ({ signal }: ReadLagOptions): { readonly signal?: AbortSignal } =>
  signal === undefined ? {} : { signal }
