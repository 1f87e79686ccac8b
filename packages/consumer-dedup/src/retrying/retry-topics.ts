import type { RetryOptions } from '../options.js'

export interface RetryTopicsOptions {
  /** How long an event waits in each of its retry topics: the first tier, the second, and so on. */
  readonly delaysMs: readonly number[]
  /** In the topic it came in, before it is sent on. Default: as without retry topics. `include`, `exclude` and `killsMax` are for the tiers, too. */
  readonly inPlace?: RetryOptions
  /** The name of a tier's topic. Default `<topic>.retry.<consumer>.<tier>`. */
  readonly topicName?: (place: TierPlace) => string
}

/** What the name of a retry topic is made of. */
export interface TierPlace {
  /** The topic that events came in. */
  readonly topic: string
  /** `name` of the consumer. */
  readonly consumer: string
  /** From 1. */
  readonly tier: number
  readonly delayMs: number
}

/** What {@link retryTopics} makes. */
export interface TopicsRetry extends Omit<RetryOptions, 'tiers'> {
  readonly tiers: RetryTopicsOptions
}

/**
 * An event that fails is sent on to a topic of its own, where it waits for its next attempt; everything behind it goes on, **later
 * events of its key too: their order is lost**. {@link parkKey} keeps it. In the modes `inbox`, `position`, `kafka` and `at-least-once`.
 *
 * @example
 * createConsumer({ mode: 'inbox', retry: retryTopics({ delaysMs: [1_000, 10_000, 60_000] }), outbox, ... })
 */
export function retryTopics(options: RetryTopicsOptions): TopicsRetry {
  return { ...options.inPlace, tiers: options }
}
