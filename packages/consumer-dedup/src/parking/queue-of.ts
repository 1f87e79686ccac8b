import { createHash } from 'node:crypto'
import type { ConsumerRecord } from '../records/record.js'

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
  const hash = createHash('sha256')
  if (key === null) hash.update(`event ${topicId}/${partition}/${offset}`)
  else hash.update('key ').update(key)
  const hex = hash.digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
