import type { PartitionAddress } from '@oncebox/kafka'

/** A topic, or one partition of it. */
export interface PartitionSelection {
  readonly topic: string
  readonly partition?: number
}

/** Which partitions are paused. What was said last of a partition, its topic or all of them counts. */
export class Pauses {
  #all = false
  readonly #topics = new Map<string, boolean>()
  readonly #partitions = new Map<string, Map<number, boolean>>()

  /** @param selections Undefined: all partitions, also those that this member is assigned later. */
  set(isPaused: boolean, selections: readonly PartitionSelection[] | undefined): void {
    if (selections === undefined) {
      this.#all = isPaused
      this.#topics.clear()
      this.#partitions.clear()
      return
    }
    for (const { topic, partition } of selections) {
      if (partition === undefined) {
        this.#topics.set(topic, isPaused)
        this.#partitions.delete(topic)
        continue
      }
      const partitions = this.#partitions.get(topic) ?? new Map<number, boolean>()
      this.#partitions.set(topic, partitions.set(partition, isPaused))
    }
  }

  has({ topic, partition }: PartitionAddress): boolean {
    return this.#partitions.get(topic)?.get(partition) ?? this.#topics.get(topic) ?? this.#all
  }
}
