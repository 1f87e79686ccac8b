import { headerText, readEnvelope } from '@oncebox/core'
import { causeHeadersOf } from '../failing/dead-letter-topic.js'
import type { DeadLetter } from '../failing/dead-letter.js'
import {
  copyBytes,
  copyHeaders,
  readBytes,
  readHeaderCopies,
  type HeaderCopy,
} from '../records/header-copy.js'
import { keptRecord, type ConsumerRecord } from '../records/record.js'
import type { Tier } from './tiers.js'

/** Where an event stood before it was sent on to its first retry topic. */
export type Origin = Pick<ConsumerRecord, 'topic' | 'topicId' | 'partition' | 'offset'>

/** What is known of an event in a retry topic. */
export interface Retried {
  /** As it was sent on to. */
  readonly tier: number
  /** Attempts before this tier. */
  readonly attempts: number
  readonly origin: Origin
}

/** The event as it came first, with the place of its copy. */
export interface RetryCopy {
  readonly record: ConsumerRecord
  readonly retried: Retried
}

const header = {
  tier: 'oncebox-retry-tier',
  due: 'oncebox-retry-due',
  attempts: 'oncebox-retry-attempts',
  topic: 'oncebox-retry-original-topic',
  topicId: 'oncebox-retry-original-topic-id',
  partition: 'oncebox-retry-original-partition',
  offset: 'oncebox-retry-original-offset',
  timestamp: 'oncebox-retry-original-timestamp',
  /** Key and headers byte for byte: an outbox takes text only, and has an envelope of its own. */
  record: 'oncebox-retry-original-record',
} as const

interface KeptRecord {
  readonly key: HeaderCopy | null
  readonly headers: Readonly<Record<string, readonly HeaderCopy[]>>
}

/** What makes a record the copy of an event in a retry topic. `letter.record` is the event as it came first. */
export function retryHeaders(letter: DeadLetter, tier: Tier, dueAt: Date): Record<string, string> {
  const { record } = letter
  const kept: KeptRecord = {
    key: record.key === null ? null : copyBytes(record.key),
    headers: copyHeaders(record.headers),
  }
  return {
    ...causeHeadersOf('oncebox-retry', letter),
    [header.topic]: record.topic,
    [header.tier]: String(tier.number),
    [header.due]: dueAt.toISOString(),
    [header.record]: JSON.stringify(kept),
  }
}

/** When an event of a retry topic may run, in milliseconds since 1970; 0 when it does not say. */
export function dueAtOf(headers: readonly (readonly [name: string, value: Uint8Array])[]): number {
  const found = headers.findLast(([name]) => name === header.due)?.[1]
  const dueAt = found === undefined ? 0 : Date.parse(Buffer.from(found).toString())
  return Number.isNaN(dueAt) ? 0 : dueAt
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const integer = /^\d{1,18}$/

/** `none` when the record is no copy that a consumer has sent there. */
export function readRetryCopy(found: ConsumerRecord): RetryCopy | 'none' {
  const text = (name: string): string => headerText(found.headers, name) ?? ''
  const numbers = [header.tier, header.attempts, header.partition, header.offset].map(text)
  const timestamp = new Date(text(header.timestamp))
  const kept = readKept(text(header.record))
  if (kept === undefined || !numbers.every((number) => integer.test(number))) return 'none'
  if (Number.isNaN(timestamp.getTime()) || !uuid.test(text(header.topicId))) return 'none'
  const record = keptRecord({
    topic: found.topic,
    topicId: found.topicId,
    partition: found.partition,
    offset: found.offset,
    timestamp,
    value: found.value,
    ...kept,
  })
  return {
    record,
    retried: {
      tier: Number(text(header.tier)),
      attempts: Number(text(header.attempts)),
      origin: {
        topic: text(header.topic),
        topicId: text(header.topicId),
        partition: Number(text(header.partition)),
        offset: BigInt(text(header.offset)),
      },
    },
  }
}

function readKept(json: string): Pick<ConsumerRecord, 'key' | 'headers'> | undefined {
  try {
    const { key, headers } = JSON.parse(json) as KeptRecord // what retryHeaders writes, or it throws here
    const bag = readHeaderCopies(headers)
    return readEnvelope(bag) === undefined
      ? undefined
      : { key: key === null ? null : readBytes(key), headers: bag }
  } catch {
    return undefined
  }
}
