import type { PartitionAddress } from '../partition-offsets.js'
import type { TopicPartitions } from './consumer-protocol.js'
import type { Joined } from './group-join.js'

/** In place of joining: the partitions are given, and nobody shares them out. Offsets are committed from outside the group. */
export class FixedAssignment {
  /** There is nothing to leave. */
  readonly memberId = ''
  readonly #joined: Joined

  constructor(groupId: string, partitions: readonly PartitionAddress[]) {
    this.#joined = {
      metadata: { groupId, generationId: -1, memberId: '', groupInstanceId: null },
      assigned: byTopic(partitions),
      partitionCounts: new Map(), // partitions that are added are somebody else's
    }
  }

  join(): Promise<Joined> {
    return Promise.resolve(this.#joined)
  }
}

function byTopic(partitions: readonly PartitionAddress[]): readonly TopicPartitions[] {
  return [...new Set(partitions.map(({ topic }) => topic))].map((topic) => ({
    topic,
    partitions: partitions.filter((one) => one.topic === topic).map(({ partition }) => partition),
  }))
}
