import type { DeadLetter } from '../failing/dead-letter.js'
import type { Output } from '../sending/output.js'
import { retryHeaders } from './retry-copy.js'
import type { Tier } from './tiers.js'

/** The record for a retry topic, for the modes that have no database: the event as it came, with its cause beside it. */
export function retryOutput(letter: DeadLetter, tier: Tier): Output {
  const { key, value, headers } = letter.record
  const now = new Date()
  const dueAt = new Date(now.getTime() + tier.delayMs)
  return {
    topic: tier.topic,
    key,
    value,
    timestamp: now,
    headers: { ...headers, ...retryHeaders(letter, tier, dueAt) },
  }
}
