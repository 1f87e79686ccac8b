import { causeHeaders } from './dead-letter-topic.js'
import type { DeadLetter } from './dead-letter.js'
import type { Output } from '../sending/output.js'

/**
 * The record of a dead letter, for the modes that have no database: the event as it came, with its cause beside it. An event
 * may fill its record so far that there is no room for that: then without the words of the cause, and then without any of it.
 */
export function deadLetterRecords(topic: string, letter: DeadLetter): readonly [Output, ...Output[]] {
  const { key, value, timestamp, headers } = letter.record
  const event = { topic, key, value, timestamp, headers }
  return [
    { ...event, headers: { ...headers, ...causeHeaders(letter) } },
    { ...event, headers: { ...headers, ...causeHeaders({ ...letter, reason: '', stack: null }) } },
    event,
  ]
}
