import type { Subject } from '../modes/partition-effects.js'
import type { ConsumerRecord } from '../records/record.js'

/** The record of an event as it came first. */
export const originRecord = ({ record, retried }: Pick<Subject, 'record' | 'retried'>): ConsumerRecord =>
  // A record with `retried` is a plain object: readRetryCopy makes it.
  retried === undefined ? record : { ...record, ...retried.origin }
