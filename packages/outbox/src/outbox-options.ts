/** The options of createOutbox, checked once. */
import { OutboxError, type AnyTopic } from '@oncebox/core'

export interface OutboxOptions<Topics extends readonly AnyTopic[]> {
  /** The name of the service, 1 to 255 characters: part of each event's identity, so it outlives deployments. */
  readonly source: string
  /** What may be emitted. Event types are unique across the topics. */
  readonly topics: Topics
  /**
   * Whether a commit with events tells relays in other processes at once, by NOTIFY; those with `poll.listen` hear it.
   * Default false: PostgreSQL lets only one transaction of a database at a time commit with a notification, and 16 writers
   * kept 0.35 to 0.60 of their rate.
   */
  readonly notify?: boolean
  /**
   * Whether events carry the trace context of their emit (headers `traceparent` and `tracestate`), where the application has
   * `@opentelemetry/api`. Default true.
   */
  readonly tracing?: boolean
}

/** Event type to its topic. */
export type TopicOf = ReadonlyMap<string, AnyTopic>

const control = /\p{Cc}|\p{Surrogate}/u

/** @throws OutboxError OUTBOX_OPTIONS_INVALID, OUTBOX_EVENT_AMBIGUOUS */
export function resolveOutboxOptions({ source, topics }: OutboxOptions<readonly AnyTopic[]>): TopicOf {
  if (typeof source !== 'string' || source.length < 1 || source.length > 255 || control.test(source)) {
    throw invalid(
      `source is ${JSON.stringify(source)}: 1 to 255 characters, none of them a control character`,
    )
  }
  if (!Array.isArray(topics) || topics.length === 0)
    throw invalid('topics: at least one, made by defineTopic')
  const topicOf = new Map<string, AnyTopic>()
  for (const topic of topics as readonly AnyTopic[]) {
    for (const type of Object.keys(topic.events)) {
      const other = topicOf.get(type)
      if (other !== undefined) {
        throw new OutboxError(
          'OUTBOX_EVENT_AMBIGUOUS',
          `event ${JSON.stringify(type)} is in ${other.name} and in ${topic.name}`,
          {
            details: { type, topics: [other.name, topic.name] },
          },
        )
      }
      topicOf.set(type, topic)
    }
  }
  return topicOf
}

const invalid = (message: string): OutboxError => new OutboxError('OUTBOX_OPTIONS_INVALID', message)
