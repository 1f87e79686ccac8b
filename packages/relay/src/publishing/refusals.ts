import { OutboxError } from '@oncebox/core'

/**
 * A topic of events that is not there, or not for this relay, as an error that is tried again: whoever creates the topic
 * or grants the ACL need not start the relay. Anything else is returned as it is, the progress topic's troubles included.
 */
export function asRefusedTopic(error: unknown, progressTopic: string): unknown {
  if (
    !OutboxError.is(error, 'KAFKA_AUTHORIZATION_FAILED') &&
    !OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE')
  )
    return error
  const topic = topicOf(error, progressTopic)
  if (topic === undefined) return error
  return new OutboxError('RELAY_TOPIC_UNAVAILABLE', `topic ${topic} cannot be used: ${error.message}`, {
    cause: error,
    details: error.details,
  })
}

/** A batch that the broker refuses for what is in it, and the topic in which that lies. */
export interface RefusedContent {
  readonly topic: string
  readonly error: OutboxError
}

export function refusedContent(error: unknown, progressTopic: string): RefusedContent | undefined {
  if (!OutboxError.is(error, 'KAFKA_RECORD_TOO_LARGE') && !OutboxError.is(error, 'KAFKA_RECORD_REFUSED'))
    return undefined
  const topic = topicOf(error, progressTopic)
  return topic === undefined ? undefined : { topic, error }
}

function topicOf({ details: { topic } }: OutboxError, progressTopic: string): string | undefined {
  return typeof topic === 'string' && topic !== progressTopic ? topic : undefined
}

// What a shard waits for. A torn transaction is a person's to repair, on one partition of one topic.
const halting = [
  'RELAY_TOPIC_UNAVAILABLE',
  'RELAY_EVENT_UNPUBLISHABLE',
  'RELAY_PARKED_KEYS_FULL',
  'RELAY_TRANSACTION_TOO_LARGE',
] as const

/** The error for which a shard waits while it holds what it has; undefined for any other. */
export function haltOf(error: unknown, progressTopic: string): OutboxError | undefined {
  const refused = asRefusedTopic(error, progressTopic)
  return OutboxError.is(refused) && halting.some((code) => code === refused.code) ? refused : undefined
}
