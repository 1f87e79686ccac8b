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
  const { topic } = error.details
  if (typeof topic !== 'string' || topic === progressTopic) return error
  return new OutboxError('RELAY_TOPIC_UNAVAILABLE', `topic ${topic} cannot be used: ${error.message}`, {
    cause: error,
    details: error.details,
  })
}
