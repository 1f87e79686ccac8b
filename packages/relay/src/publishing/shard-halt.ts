import { delay, nextDelayMs, type OutboxError } from '@oncebox/core'
import type { EncodedBatch } from './encoded-batch.js'

const backoff = { minMs: 50, maxMs: 5_000 }

/** What a shard waits for, a topic or an event of its own, and how often it has tried. */
export class ShardHalt {
  /** Topics that were refused, until one of their events is committed. */
  readonly #doubtful = new Set<string>()
  #error: OutboxError | undefined
  #attempts = 0

  get doubtful(): ReadonlySet<string> {
    return this.#doubtful
  }

  /** Until the next try; returns at once when the signal is aborted. */
  async wait(error: OutboxError, signal: AbortSignal): Promise<void> {
    this.#error = error
    const { topic } = error.details
    if (error.code === 'RELAY_TOPIC_UNAVAILABLE' && typeof topic === 'string') this.#doubtful.add(topic)
    await delay(nextDelayMs(backoff, ++this.#attempts), signal).catch(() => undefined)
  }

  /**
   * After a committed batch, or when nothing is left.
   * @param complete Whether all of a window is published.
   * @returns Whether what the shard waited for is behind it now.
   */
  passes(batch: EncodedBatch | undefined, complete: boolean): boolean {
    if (this.#error === undefined) return false
    const topics = new Set(batch?.partitions.filter(({ count }) => count > 0).map(({ topic }) => topic))
    for (const topic of complete ? [...this.#doubtful] : topics) this.#doubtful.delete(topic)
    const { topic, seq } = this.#error.details
    const hasPassed =
      complete ||
      batch === undefined ||
      (typeof seq === 'string'
        ? batch.lastSeq >= BigInt(seq)
        : typeof topic === 'string' && topics.has(topic))
    if (!hasPassed) return false
    this.#error = undefined
    this.#attempts = 0
    return true
  }
}
