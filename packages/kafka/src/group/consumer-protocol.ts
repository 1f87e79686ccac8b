/**
 * What members of a consumer group tell each other through the coordinator, which does not look inside: their
 * subscriptions, and what the leader assigns. The layouts of Kafka's own consumers, in their first version, which later
 * ones only add to.
 * @see https://cwiki.apache.org/confluence/display/KAFKA/A+Guide+To+The+Kafka+Protocol
 */
import { Reader } from '../wire/reader.js'
import { Writer } from '../wire/writer.js'

/** Partitions of one topic. */
export interface TopicPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

export const protocolType = 'consumer'

const version = 0

export function encodeSubscription(topics: readonly string[]): Buffer {
  const writer = new Writer().int16(version).int32(topics.length)
  for (const topic of topics) writer.string(topic)
  return Buffer.concat(writer.int32(-1).chunks()) // no user data
}

/** The topics of a member. @throws RangeError when it is no subscription */
export function decodeSubscription(bytes: Buffer): readonly string[] {
  const reader = new Reader(bytes)
  reader.int16() // version
  return Array.from({ length: reader.int32() }, () => string(reader))
}

export function encodeAssignment(assigned: readonly TopicPartitions[]): Buffer {
  const writer = new Writer().int16(version).int32(assigned.length)
  for (const { topic, partitions } of assigned) {
    writer.string(topic).int32(partitions.length)
    for (const partition of partitions) writer.int32(partition)
  }
  return Buffer.concat(writer.int32(-1).chunks()) // no user data
}

/** What the leader assigned; nothing at all when it had nothing for this member. @throws RangeError when it is no assignment */
export function decodeAssignment(bytes: Buffer): readonly TopicPartitions[] {
  if (bytes.length === 0) return []
  const reader = new Reader(bytes)
  reader.int16() // version
  return Array.from({ length: reader.int32() }, () => ({
    topic: string(reader),
    partitions: Array.from({ length: reader.int32() }, () => reader.int32()),
  }))
}

const string = (reader: Reader): string => reader.bytes(reader.int16()).toString('utf8')
