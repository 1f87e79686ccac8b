import type { AnyTopic } from '@oncebox/core'

/** Topics whose names match, with the events of one definition. Made by {@link topicsMatching}. */
export type TopicPattern<Like extends AnyTopic> = Like & { readonly pattern: RegExp }

/**
 * All topics whose names match the pattern, also those that are created while the consumer runs; they are looked for every five
 * seconds. Their events are those of `like`. Of two that match a topic, the first in `topics` counts; one that is named itself
 * counts before any pattern.
 *
 * @example
 * createConsumer({ topics: [topicsMatching(/^orders\.[a-z]{2}$/, orders)], ... })
 */
export function topicsMatching<Like extends AnyTopic>(pattern: RegExp, like: Like): TopicPattern<Like> {
  // Without a state of its own: a sticky or global one remembers where it matched.
  const stateless = new RegExp(pattern.source, pattern.flags.replaceAll(/[gy]/g, ''))
  return Object.freeze({ ...like, pattern: stateless })
}

const patternOf = (topic: AnyTopic & { readonly pattern?: unknown }): RegExp | undefined =>
  topic.pattern instanceof RegExp ? topic.pattern : undefined

/** The topics of a consumer: by name, and by pattern. */
export class Subscription {
  readonly definitions: readonly AnyTopic[]
  readonly #named: ReadonlyMap<string, AnyTopic>
  readonly #matching: readonly { readonly pattern: RegExp; readonly topic: AnyTopic }[]

  constructor(definitions: readonly AnyTopic[]) {
    this.definitions = definitions
    const named = definitions.filter((topic) => patternOf(topic) === undefined)
    this.#named = new Map(named.map((topic) => [topic.name, topic]))
    this.#matching = definitions.flatMap((topic) => {
      const pattern = patternOf(topic)
      return pattern === undefined ? [] : [{ pattern, topic }]
    })
  }

  /** Of the topics that are named. */
  get names(): readonly string[] {
    return [...this.#named.keys()]
  }

  get patterns(): readonly RegExp[] {
    return this.#matching.map(({ pattern }) => pattern)
  }

  /** What is defined of a topic; undefined when it is none of this consumer's. */
  get(name: string): AnyTopic | undefined {
    return this.#named.get(name) ?? this.#matching.find(({ pattern }) => pattern.test(name))?.topic
  }

  has(name: string): boolean {
    return this.get(name) !== undefined
  }
}
