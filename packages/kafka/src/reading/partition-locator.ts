import { OutboxError } from '@oncebox/core'
import type { Cluster, TopicLayout } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { errorCode } from '../protocol/error-codes.js'
import type { PartitionCursor } from './partition-cursor.js'
import { unreadableTopic } from './unreadable-topic.js'
import { Wakeup } from './wakeup.js'

/** What the locator needs of the loop that it serves. */
export interface LocatorHost {
  /** Partitions of which nobody knows the leader. */
  unplaced(): readonly PartitionCursor[]
  onPlaced(cursor: PartitionCursor): void
  onFailed(cursor: PartitionCursor, error: OutboxError): void
  onHalted(cursor: PartitionCursor, error: OutboxError): void
}

interface LocatorOptions {
  readonly cluster: Cluster
  readonly signal: AbortSignal
  /** How long a topic may be unknown, or refused, before its owner is told: a fresh one is for a while. */
  readonly patienceMs: number
}

const leaderless = -1

/** Finds the leaders of partitions, again and again where one moves or is away, each partition with a backoff of its own. */
export class PartitionLocator {
  readonly #host: LocatorHost
  readonly #options: LocatorOptions
  readonly #wakeup = new Wakeup()

  constructor(host: LocatorHost, options: LocatorOptions) {
    this.#host = host
    this.#options = options
  }

  /** There is somebody to look up. */
  wake(): void {
    this.#wakeup.wake()
  }

  /** Ends when the signal is aborted. */
  async run(): Promise<void> {
    const { signal } = this.#options
    while (!signal.aborted) {
      const unplaced = this.#host.unplaced()
      const now = performance.now()
      const due = unplaced.filter(({ retryAt }) => retryAt <= now)
      if (due.length > 0) await this.#locate(due)
      else if (unplaced.length === 0) await this.#wakeup.wait(signal)
      else await this.#wakeup.wait(signal, Math.min(...unplaced.map(({ retryAt }) => retryAt)) - now)
    }
  }

  async #locate(due: readonly PartitionCursor[]): Promise<void> {
    const { cluster, signal } = this.#options
    const topics = [...new Set(due.map(({ topic }) => topic))]
    using deadline = new Deadline(
      cluster.options.requestTimeoutMs,
      `looking up the leaders of ${topics.join(', ')}`,
      signal,
    )
    try {
      const layouts = await cluster.layouts(topics, deadline)
      for (const cursor of due)
        if (!cursor.isClosed)
          this.#place(cursor, layouts.get(cursor.topic) ?? errorCode.UNKNOWN_TOPIC_OR_PARTITION)
    } catch (error) {
      if (signal.aborted) return
      for (const cursor of due) if (!cursor.isClosed) this.#fail(cursor, error)
    }
  }

  #place(cursor: PartitionCursor, layout: TopicLayout | number): void {
    if (typeof layout === 'number') return this.#missing(cursor, layout)
    if (cursor.topicId !== undefined && cursor.topicId !== layout.topicId)
      return this.#host.onHalted(cursor, recreated(cursor, layout.topicId))
    const leader = layout.leaders[cursor.partition]
    if (leader === undefined) return this.#missing(cursor, errorCode.UNKNOWN_TOPIC_OR_PARTITION)
    if (leader === leaderless)
      return this.#host.onFailed(cursor, unreadableTopic(cursor.topic, errorCode.LEADER_NOT_AVAILABLE))
    cursor.topicId = layout.topicId
    cursor.leader = leader
    this.#host.onPlaced(cursor)
  }

  /** The topic is deleted or refused, or so new that this broker does not know it yet. */
  #missing(cursor: PartitionCursor, code: number): void {
    const error = unreadableTopic(cursor.topic, code)
    if (cursor.failingMs >= this.#options.patienceMs) this.#host.onHalted(cursor, error)
    else this.#host.onFailed(cursor, error)
  }

  #fail(cursor: PartitionCursor, error: unknown): void {
    const failure = OutboxError.is(error)
      ? error
      : new OutboxError('KAFKA_UNAVAILABLE', `looking up ${cursor.topic}: ${String(error)}`, { cause: error })
    // Refused for good, or away for a while.
    if (failure.code === 'KAFKA_UNAVAILABLE') this.#host.onFailed(cursor, failure)
    else this.#host.onHalted(cursor, failure)
  }
}

function recreated({ topic, partition, topicId }: PartitionCursor, newTopicId: string): OutboxError {
  return new OutboxError(
    'KAFKA_TOPIC_RECREATED',
    `${topic} was deleted and created again: it had the id ${topicId}, now ${newTopicId}`,
    { details: { topic, partition, topicId, newTopicId } },
  )
}
