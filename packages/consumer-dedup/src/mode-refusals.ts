import { invalid } from './option-checks.js'

const nobodyKnows = 'without a database nobody knows over what a process died'
const oneByOne = 'its events are handled one by one, also by a batch handler'

type Option = 'keysInParallel' | 'retryTopics' | 'retry.killsMax' | 'batch.eventsMax'

/** Options that a mode cannot keep, or that would do nothing in it, and why. */
const refusals: Readonly<Record<Option, Readonly<Record<string, string>>>> = {
  keysInParallel: {
    position: 'the position moves in the transaction of each event',
    kafka: 'the offset moves in the transaction of each event',
    'at-most-once': 'the offset is committed before the events',
  },
  retryTopics: {
    redis: 'its mark is in Redis and the retry topic in Kafka, and nothing makes both happen or neither',
    'at-most-once': 'a handler has one attempt',
  },
  'retry.killsMax': {
    redis: nobodyKnows,
    kafka: nobodyKnows,
    'at-least-once': nobodyKnows,
    'at-most-once': nobodyKnows,
  },
  'batch.eventsMax': { redis: oneByOne, 'at-most-once': oneByOne },
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function assertOfMode(mode: string, option: Option, isGiven: boolean): void {
  const why = refusals[option][mode]
  if (isGiven && why !== undefined) throw invalid(`${option} is not for mode ${mode}: ${why}`)
}
