import { headerText, type HeaderBag } from '@oncebox/core'
import type { ConsumedRecord } from '@oncebox/kafka'
import { storable } from './text.js'

/** One Kafka record in hand, with the id of the topic it came from. */
export interface ConsumerRecord {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly offset: bigint
  readonly timestamp: Date
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: HeaderBag
}

export function recordOf(
  { topic, topicId, partition }: Pick<ConsumerRecord, 'topic' | 'topicId' | 'partition'>,
  { offset, timestampMs, key, value, headers }: ConsumedRecord,
): ConsumerRecord {
  const timestamp = timestampOf(timestampMs)
  return { topic, topicId, partition, offset, timestamp, key, value, headers: bagOf(headers) }
}

/** Headers as text; of a repeated header the last value. */
export function headersAsText(headers: HeaderBag): Record<string, string> {
  return Object.fromEntries(
    Object.keys(headers).flatMap((name) => {
      const value = headerText(headers, name)
      return value === undefined ? [] : [[storable(name), storable(value)]]
    }),
  )
}

/** All values of each name. A header may have any name, `__proto__` too, which only fromEntries makes a key. */
function bagOf(headers: ConsumedRecord['headers']): HeaderBag {
  const bag = new Map<string, Buffer | Buffer[]>()
  for (const [name, value] of headers) {
    const before = bag.get(name)
    bag.set(name, before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value])
  }
  return Object.fromEntries(bag)
}

// Producers may send what no date can hold; a record is not refused for it.
function timestampOf(milliseconds: number): Date {
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) || date.getTime() < 0 || date.getUTCFullYear() > 9999
    ? new Date(0)
    : date
}
