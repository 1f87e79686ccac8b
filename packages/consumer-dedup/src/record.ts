import { headerText, type HeaderBag } from '@oncebox/core'
import type { KafkaMessage } from 'kafkajs'
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
  place: Pick<ConsumerRecord, 'topic' | 'topicId' | 'partition'>,
  message: KafkaMessage,
): ConsumerRecord {
  return {
    ...place,
    offset: BigInt(message.offset),
    timestamp: timestampOf(message.timestamp),
    key: message.key,
    value: message.value,
    headers: message.headers ?? {},
  }
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

// Producers may send what no date can hold; a record is not refused for it.
function timestampOf(milliseconds: string): Date {
  const date = new Date(Number(milliseconds))
  return Number.isNaN(date.getTime()) || date.getTime() < 0 || date.getUTCFullYear() > 9999
    ? new Date(0)
    : date
}
