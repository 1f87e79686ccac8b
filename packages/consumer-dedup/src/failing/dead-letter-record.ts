import { causeHeaders } from './dead-letter-topic.js'
import type { DeadLetter } from './dead-letter.js'
import type { Output } from '../sending/output.js'

/** The record of a dead letter, for the modes that have no database: the event as it came, with its cause beside it. */
export function deadLetterRecord(topic: string, letter: DeadLetter): Output {
  const { key, value, timestamp, headers } = letter.record
  return { topic, key, value, timestamp, headers: { ...headers, ...causeHeaders(letter) } }
}
