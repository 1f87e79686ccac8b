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

/**
 * @param partitionCounts How many partitions the topics had that were shared out: a leader that comes back as a static member
 *   learns from it what it had assigned before.
 */
export function encodeAssignment(
  assigned: readonly TopicPartitions[],
  partitionCounts: ReadonlyMap<string, number>,
): Buffer {
  const writer = new Writer().int16(version).int32(assigned.length)
  for (const { topic, partitions } of assigned) {
    writer.string(topic).int32(partitions.length)
    for (const partition of partitions) writer.int32(partition)
  }
  const userData = Buffer.from(JSON.stringify({ partitionCounts: Object.fromEntries(partitionCounts) }))
  return Buffer.concat([...writer.int32(userData.length).chunks(), userData])
}

export interface DecodedAssignment {
  readonly assigned: readonly TopicPartitions[]
  /** Empty when the leader was another client. */
  readonly partitionCounts: ReadonlyMap<string, number>
}

/** What the leader assigned; nothing at all when it had nothing for this member. @throws RangeError when it is no assignment */
export function decodeAssignment(bytes: Buffer): DecodedAssignment {
  if (bytes.length === 0) return { assigned: [], partitionCounts: new Map() }
  const reader = new Reader(bytes)
  reader.int16() // version
  const assigned = Array.from({ length: reader.int32() }, () => ({
    topic: string(reader),
    partitions: Array.from({ length: reader.int32() }, () => reader.int32()),
  }))
  const userDataBytes = reader.int32()
  return { assigned, partitionCounts: countsIn(userDataBytes > 0 ? reader.bytes(userDataBytes) : undefined) }
}

/** Other clients keep things of their own in the user data. */
function countsIn(userData: Buffer | undefined): ReadonlyMap<string, number> {
  try {
    const given: unknown = JSON.parse(userData?.toString('utf8') ?? '')
    if (typeof given !== 'object' || given === null || !('partitionCounts' in given)) return new Map()
    const counts = Object.entries(given.partitionCounts ?? {})
    return new Map(counts.filter((one): one is [string, number] => Number.isInteger(one[1])))
  } catch {
    return new Map()
  }
}

const string = (reader: Reader): string => reader.bytes(reader.int16()).toString('utf8')
