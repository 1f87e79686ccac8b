import type { ConsumerRecord } from '../records/record.js'
import { uuidOfHash } from '../records/uuid-of-hash.js'

/**
 * The queue in which an event waits: its key, or the event itself when it has none. A UUID made from a hash: keys may be
 * larger than an index row.
 */
export function queueOf({
  key,
  topicId,
  partition,
  offset,
}: Pick<ConsumerRecord, 'key' | 'topicId' | 'partition' | 'offset'>): string {
  return key === null ? uuidOfHash(`event ${topicId}/${partition}/${offset}`) : uuidOfHash('key ', key)
}
