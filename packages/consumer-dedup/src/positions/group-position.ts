import type { GroupAssignment, GroupOffset } from '@oncebox/kafka'
import { readGroupOffsets, type KafkaClient, type TopicOffsets } from '@oncebox/kafka'
import { assertInRange, notThereYet } from './database-starts.js'
import type { PartitionKey } from './position-store.js'

/** Where a consumer begins that has no position yet: with what is still there, or with what comes. */
export type StartAt = 'earliest' | 'latest'

/** Where a partition stands in Kafka, as the offset of a consumer group. */
export class GroupPosition {
  readonly key: PartitionKey
  readonly #assignment: GroupAssignment
  #next: bigint

  constructor(assignment: GroupAssignment, key: PartitionKey, next: bigint) {
    this.#assignment = assignment
    this.key = key
    this.#next = next
  }

  /** What was committed last. */
  get next(): bigint {
    return this.#next
  }

  /** As a transaction takes it, or a commit: it names the topic's id, since a topic that is created again has other events. */
  at(next: bigint): GroupOffset {
    const { topic, topicId, partition } = this.key
    return { topic, partition, offset: next, metadata: topicId }
  }

  /** @throws OutboxError KAFKA_GROUP_FENCED, KAFKA_UNAVAILABLE */
  async commit(next: bigint): Promise<void> {
    if (next === this.#next) return
    await this.#assignment.commitOffsets([this.at(next)], { deadlineMs: commitDeadlineMs })
    this.#next = next
  }

  /** The transaction that took it is committed. */
  moved(next: bigint): void {
    this.#next = next
  }
}

const commitDeadlineMs = 30_000
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether an offset was committed for this topic, not for an older one of its name. Others do not say. */
export const isOfTopic = ({ metadata = '' }: GroupOffset, topicId: string): boolean =>
  !uuid.test(metadata) || metadata === topicId

export interface GroupStartsRequest {
  readonly client: KafkaClient
  readonly groupId: string
  readonly topic: string
  readonly partitions: readonly number[]
  readonly startAt: StartAt
  readonly topicOffsets: (topic: string, signal: AbortSignal) => Promise<TopicOffsets>
  readonly signal: AbortSignal
}

/**
 * Where the partitions of a topic stand for a group. Waits for transactions that are about to move an offset
 * (require_stable). A partition without one begins at 0 when the group knows others of the topic: it is a new one.
 * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE
 */
export async function readGroupStarts({
  client,
  groupId,
  topic,
  partitions,
  startAt,
  topicOffsets,
  signal,
}: GroupStartsRequest): Promise<readonly { readonly key: PartitionKey; readonly next: bigint }[]> {
  const { topicId, partitions: logs } = await topicOffsets(topic, signal)
  const every = [...logs.keys()].map((partition) => ({ topic, partition }))
  const committed = new Map(
    (await readGroupOffsets(client, { groupId, partitions: every, signal }))
      .filter((one) => isOfTopic(one, topicId))
      .map(({ partition, offset }) => [partition, offset]),
  )
  const starts = partitions.map((partition) => {
    const log = logs.get(partition)
    if (log === undefined) throw notThereYet({ topic, partition })
    const first = committed.size > 0 ? 0n : startAt === 'latest' ? log.lastStableOffset : log.logStartOffset
    return { key: { topic, topicId, partition }, next: committed.get(partition) ?? first }
  })
  await assertInRange(topicOffsets, topic, starts, signal)
  return starts
}
