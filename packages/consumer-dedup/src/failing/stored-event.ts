import { OutboxError } from '@oncebox/core'
import type { Handlers } from '../handlers.js'
import type { Subject } from '../modes/partition-effects.js'
import { decode, envelopeOf } from '../records/decode.js'
import type { DecodedSubject } from '../records/decoded-subject.js'
import { readHeaderCopies, type HeaderCopy } from '../records/header-copy.js'
import { markKeyOf } from '../records/mark-key.js'
import { keptRecord, type ConsumerRecord } from '../records/record.js'
import type { Subscription } from '../subscription.js'

/** The copy of an event in `inbox.parked`. */
export interface StoredEvent {
  readonly number: string
  readonly topic: string
  readonly topic_id: string
  readonly partition: number
  readonly offset: string
  readonly record_at: Date
  readonly key: Buffer | null
  readonly headers: Readonly<Record<string, readonly HeaderCopy[]>>
  readonly payload: Buffer | null
  readonly attempts: number
}

const storedRecord = (row: StoredEvent): ConsumerRecord =>
  keptRecord({
    topic: row.topic,
    topicId: row.topic_id,
    partition: row.partition,
    offset: BigInt(row.offset),
    timestamp: row.record_at,
    key: row.key,
    value: row.payload,
    headers: readHeaderCopies(row.headers),
  })

/** A stored event as its handler takes it, or why none can. */
export type DecodedStored =
  | { readonly kind: 'event'; readonly subject: DecodedSubject }
  | { readonly kind: 'unusable'; readonly subject: Subject; readonly error: OutboxError }

/** Reads the copy of an event, with what the consumer has today: its topics, schemas and handlers. Never throws. */
export async function decodeStored<Context>(
  topics: Pick<Subscription, 'get'>,
  handlers: Handlers<Context>,
  row: StoredEvent,
): Promise<DecodedStored> {
  const record = storedRecord(row)
  const envelope = envelopeOf(record)
  const subject = { record, envelope, mark: markKeyOf(envelope) }
  const unusable = (error: OutboxError): DecodedStored => ({ kind: 'unusable', subject, error })
  const topic = topics.get(record.topic)
  if (topic === undefined)
    return unusable(
      new OutboxError(
        'CONSUMER_OPTIONS_INVALID',
        `the event is of topic ${record.topic}, which this consumer does not name`,
      ),
    )
  const decoded = await decode(topic, record, (type) => handlers.has(type))
  if (decoded.kind === 'invalid') return unusable(decoded.error)
  if (decoded.kind === 'skipped')
    return unusable(new OutboxError('CONSUMER_HANDLER_MISSING', `no handler for ${envelope.type}`))
  return { kind: 'event', subject: { ...subject, payload: decoded.payload } }
}
