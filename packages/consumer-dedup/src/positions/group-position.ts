import type { GroupAssignment, GroupOffset } from '@oncebox/kafka'
import { writeNote, type OffsetNote } from './offset-note.js'
import type { PartitionKey } from './position-store.js'

const commitDeadlineMs = 30_000

/** Where a partition stands in Kafka, as the offset of a consumer group. */
export class GroupPosition {
  readonly key: PartitionKey
  readonly #assignment: GroupAssignment
  readonly #metadata: string
  #next: bigint

  constructor(
    assignment: GroupAssignment,
    start: { readonly key: PartitionKey; readonly note: OffsetNote; readonly next: bigint },
  ) {
    this.#assignment = assignment
    this.key = start.key
    this.#metadata = writeNote(start.note)
    this.#next = start.next
  }

  /** What was committed last. */
  get next(): bigint {
    return this.#next
  }

  /** As a transaction takes it, or a commit. */
  at(next: bigint): GroupOffset {
    const { topic, partition } = this.key
    return { topic, partition, offset: next, metadata: this.#metadata }
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
