import type { PartitionLag } from '../lag/partition-lag.js'
import type { PartitionKey } from '../positions/position-store.js'
import { isTimed } from '../records/mark-key.js'

export interface LowWater {
  readonly topicId: string
  readonly partition: number
  readonly at: Date
  /** Only when the stored position is here: what a crash has delivered again was handled before. */
  readonly next: string
}

/** What was handled of a partition since somebody looked last. */
export class Handled {
  readonly topicId: string
  #oldestMs = Infinity

  constructor(topicId: string) {
    this.topicId = topicId
  }

  add(eventAt: Date): void {
    if (isTimed(eventAt) && eventAt.getTime() < this.#oldestMs) this.#oldestMs = eventAt.getTime()
  }

  /** The time of the oldest, Infinity when there was none. It begins anew. */
  takeOldestMs(): number {
    const oldestMs = this.#oldestMs
    this.#oldestMs = Infinity
    return oldestMs
  }
}

/**
 * How far the events of this member's partitions have come, by the time in their ids: the oldest of those that were handled
 * since the last look, so that one event from the future moves nothing; or the present, where there is nothing to come.
 */
export class LowWaters {
  readonly #partitions = new Map<string, Handled>()

  /** A partition has come to this member: nothing is known of it. */
  opened(key: PartitionKey): Handled {
    const handled = new Handled(key.topicId)
    this.#partitions.set(nameOf(key), handled)
    return handled
  }

  /** @param now Not later than the lags. */
  take(lags: readonly PartitionLag[], now: Date): readonly LowWater[] {
    return lags.flatMap((one) => {
      const handled = this.#partitions.get(nameOf(one))
      if (handled === undefined) return []
      const oldestMs = handled.takeOldestMs()
      if (one.lag > 0 && oldestMs === Infinity) return []
      const at = one.lag === 0 ? now : new Date(Math.min(oldestMs, now.getTime()))
      const next = one.lag === 0 ? one.position : '0'
      return [{ topicId: handled.topicId, partition: one.partition, at, next }]
    })
  }
}

const nameOf = ({ topic, partition }: Pick<PartitionKey, 'topic' | 'partition'>): string =>
  `${topic}\n${partition}`
