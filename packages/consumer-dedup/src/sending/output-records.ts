import { randomInt } from 'node:crypto'
import {
  encodeHeader,
  partitionForKey,
  PartitionRecords,
  type Compression,
  type KafkaClient,
  type TopicDescription,
} from '@oncebox/kafka'
import { OutboxError, type HeaderBag } from '@oncebox/core'
import type { Output } from './output.js'

const nothing = Buffer.alloc(0)

/**
 * Records for one transaction, by topic and partition; keys go where Java's client puts them.
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_RECORD_TOO_LARGE, CONSUMER_OPTIONS_INVALID for a partition that is not there
 */
export async function outputRecords(
  client: KafkaClient,
  outputs: readonly Output[],
  compression: Compression,
  signal?: AbortSignal,
): Promise<readonly PartitionRecords[]> {
  const byPlace = new Map<string, PartitionRecords>()
  for (const output of outputs) {
    const topic = await client.describeTopic(output.topic, signal && { signal }) // cached
    const partition = partitionOf(output, topic)
    const place = `${partition} ${topic.name}`
    let records = byPlace.get(place)
    if (records === undefined) {
      records = new PartitionRecords(topic.name, partition, {
        maxMessageBytes: topic.maxMessageBytes,
        compression,
      })
      byPlace.set(place, records)
    }
    append(records, output)
  }
  return [...byPlace.values()]
}

function partitionOf({ partition, key }: Output, topic: TopicDescription): number {
  if (partition === undefined)
    return key === null ? randomInt(topic.partitions) : partitionForKey(key, topic.partitions)
  if (partition < topic.partitions) return partition
  throw new OutboxError(
    'CONSUMER_OPTIONS_INVALID',
    `${topic.name} has ${topic.partitions} partitions: there is no ${partition}`,
    { details: { topic: topic.name, partition } },
  )
}

function append(records: PartitionRecords, { key, value, timestamp, headers }: Output): void {
  const source = Buffer.concat([key ?? nothing, value ?? nothing])
  const keyEnd = key?.length ?? 0
  const pieces = headerPieces(headers)
  records.append(
    timestamp.getTime(),
    source,
    key === null ? -1 : 0,
    keyEnd,
    value === null ? -1 : keyEnd,
    source.length,
    pieces.length,
    pieces,
  )
}

function headerPieces(headers: HeaderBag): Buffer[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).flatMap((one: Uint8Array | string | undefined) =>
      one === undefined ? [] : [encodeHeader(name, one)],
    ),
  )
}
