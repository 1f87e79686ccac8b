import type { AnyTopic } from '@oncebox/core'
import type { CommonOptions } from '../options.js'
import { invalid, within } from '../option-checks.js'
import type { RetryTopicsOptions } from './retry-topics.js'

/** A retry topic. */
export interface Tier {
  readonly topic: string
  /** The topic whose events it has. */
  readonly origin: AnyTopic
  /** From 1. */
  readonly number: number
  readonly delayMs: number
}

const tiersMax = 16
const topicNamePattern = /^[a-zA-Z0-9._-]{1,249}$/

/** The retry topics of a consumer. */
export class Tiers {
  readonly #byTopic: ReadonlyMap<string, Tier>
  readonly #behind: ReadonlyMap<string, Tier>

  constructor(tiers: readonly Tier[]) {
    this.#byTopic = new Map(tiers.map((tier) => [tier.topic, tier]))
    const before = ({ origin, number }: Tier): string =>
      tiers.find((tier) => tier.origin === origin && tier.number === number - 1)?.topic ?? origin.name
    this.#behind = new Map(tiers.map((tier) => [before(tier), tier]))
  }

  get all(): Iterable<Tier> {
    return this.#byTopic.values()
  }

  /** Undefined for a topic that is no retry topic. */
  of(topic: string): Tier | undefined {
    return this.#byTopic.get(topic)
  }

  /** Where an event goes that failed in this topic; undefined behind the last tier. */
  behind(topic: string): Tier | undefined {
    return this.#behind.get(topic)
  }
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveTiers(
  { delaysMs, topicName = nameByDefault }: RetryTopicsOptions,
  consumer: string,
  { topics, assign }: Pick<CommonOptions<readonly AnyTopic[]>, 'topics' | 'assign'>,
): Tiers {
  if (delaysMs.length === 0 || delaysMs.length > tiersMax)
    throw invalid(`delaysMs of retryTopics has ${delaysMs.length} delays: from 1 to ${tiersMax}`)
  if (assign !== undefined)
    throw invalid('retryTopics and assign: of the retry topics no partition is given to this consumer')
  if (topics.some((topic) => 'pattern' in topic))
    throw invalid('retryTopics and a pattern: retry topics are made for topics that are named')
  const names = new Set(topics.map((topic) => topic.name))
  const tiers = topics.flatMap((origin) =>
    delaysMs.map((given, index): Tier => {
      const delayMs = within('delaysMs of retryTopics', given, 0, 0, 604_800_000)
      const number = index + 1
      const topic = topicName({ topic: origin.name, consumer, tier: number, delayMs })
      if (typeof topic !== 'string' || !topicNamePattern.test(topic))
        throw invalid(
          `${JSON.stringify(topic)} is no name for a topic: give retryTopics a topicName that makes others`,
        )
      if (names.has(topic)) throw invalid(`two topics of this consumer would be named ${topic}`)
      names.add(topic)
      return { topic, origin, number, delayMs }
    }),
  )
  return new Tiers(tiers)
}

const nameByDefault: NonNullable<RetryTopicsOptions['topicName']> = ({ topic, consumer, tier }) =>
  `${topic}.retry.${consumer}.${tier}`
