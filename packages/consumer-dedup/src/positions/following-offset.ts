import { faultPoint } from '@oncebox/core'
import type { GroupAssignment } from '@oncebox/kafka'
import type { PartitionKey } from './position-store.js'

const commitDeadlineMs = 5_000

/**
 * The group's offset in Kafka, behind a position that is kept in a database. Information, for whoever watches lag: nobody waits for it,
 * and of positions that come faster than Kafka answers the newest counts. What is refused or unanswered changes nothing; a refusal
 * also ends the generation.
 */
export class FollowingOffset {
  readonly #assignment: GroupAssignment
  readonly #key: PartitionKey
  /** Where the position is, until Kafka is told. */
  #next: bigint | undefined
  #told: bigint | undefined
  #telling: Promise<void> | undefined

  constructor(assignment: GroupAssignment, key: PartitionKey) {
    this.#assignment = assignment
    this.#key = key
  }

  follow(next: bigint): void {
    if (next === this.#told) return
    this.#told = next
    this.#next = next
    this.#telling ??= this.#tell()
  }

  /** Resolves when Kafka has answered for the last one, or will not in {@link commitDeadlineMs}. */
  async settled(): Promise<void> {
    await this.#telling
  }

  async #tell(): Promise<void> {
    const { topic, partition } = this.#key
    for (let offset = this.#next; offset !== undefined; offset = this.#next) {
      this.#next = undefined
      await this.#assignment
        .commitOffsets([{ topic, partition, offset }], { deadlineMs: commitDeadlineMs })
        .catch(() => undefined)
      await faultPoint('consumer.offset.committed')
    }
    this.#telling = undefined // in the turn that found nothing more to tell
  }
}
