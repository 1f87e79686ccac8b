import {
  readGroupOffsets,
  type GroupAssignment,
  type GroupOffset,
  type KafkaClient,
  type TopicOffsets,
} from '@oncebox/kafka'
import { assertInRange, notThereYet, type ReadTopicOffsets } from './log-range.js'
import { isOfTopic, readNote, writeNote, type OffsetNote } from './offset-note.js'
import type { PartitionKey } from './position-store.js'
import { firstOffset, type Beginning } from './start-at.js'

/** Where a partition begins, as the group has it. */
export interface GroupStart {
  readonly key: PartitionKey
  readonly note: OffsetNote
  readonly next: bigint
}

export interface GroupStartsRequest {
  readonly client: KafkaClient
  readonly assignment: GroupAssignment
  readonly topic: string
  readonly partitions: readonly number[]
  readonly beginning: Beginning
  /** As they were before the positions are read. */
  readonly offsets: TopicOffsets
  readonly topicOffsets: ReadTopicOffsets
  readonly signal: AbortSignal
}

/**
 * Where the partitions of a topic stand for a group. Waits for transactions that are about to move an offset
 * (require_stable). First positions are committed before anything is fetched: of a partition in which nothing happens, nobody
 * would know later that this consumer had begun.
 * @throws OutboxError CONSUMER_POSITION_OUT_OF_RANGE, KAFKA_GROUP_FENCED, KAFKA_UNAVAILABLE
 */
export async function readGroupStarts(request: GroupStartsRequest): Promise<readonly GroupStart[]> {
  const { assignment, topic, partitions, beginning, offsets, topicOffsets, signal } = request
  const { topicId } = offsets
  const committed = await committedOffsets(request)
  const note = { topicId, partitions: partitionsAtFirst(offsets, [...committed.values()]) }
  const starts = partitions.map((partition) => {
    const log = offsets.partitions.get(partition)
    if (log === undefined) throw notThereYet({ topic, partition })
    const first = firstOffset(beginning, partition, log, partition >= note.partitions)
    return { key: { topic, topicId, partition }, note, next: committed.get(partition)?.offset ?? first }
  })
  await assertInRange(topicOffsets, topic, starts, signal)
  const firsts = starts.filter(({ key }) => !committed.has(key.partition))
  await assignment.commitOffsets(
    firsts.map(({ key: { partition }, next }) => ({
      topic,
      partition,
      offset: next,
      metadata: writeNote(note),
    })),
    { signal },
  )
  return starts
}

/** By partition, of all members. */
async function committedOffsets({
  client,
  assignment,
  topic,
  offsets,
  signal,
}: GroupStartsRequest): Promise<ReadonlyMap<number, GroupOffset>> {
  const { groupId } = assignment.metadata
  const { topicId, partitions } = offsets
  const every = [...partitions.keys()].map((partition) => ({ topic, partition }))
  const committed = await readGroupOffsets(client, { groupId, partitions: every, signal })
  return new Map(committed.filter((one) => isOfTopic(one, topicId)).map((one) => [one.partition, one]))
}

/**
 * How many partitions the topic had when the group first saw it. Members commit the first positions of their own partitions:
 * that one of them has, does not make the partitions of the others new. What says nothing makes them new: nothing is skipped.
 */
function partitionsAtFirst({ partitions }: TopicOffsets, committed: readonly GroupOffset[]): number {
  return Math.min(partitions.size, ...committed.map((one) => readNote(one)?.partitions ?? 0))
}
