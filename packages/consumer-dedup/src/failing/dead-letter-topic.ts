import { bucketOf, envelopeHeaders, headerText, isReservedHeader, type SqlConnection } from '@oncebox/core'
import type { DeadLetter } from './dead-letter.js'
import { headersAsText } from '../records/record.js'
import { insertOutboxCopy } from '../sql/insert-outbox-copy.js'
import { bounded, text } from '../records/text.js'

/** What a consumer needs to know of the service's outbox: `createOutbox({ source, ... })` has it. */
export interface DeadLetterOutbox {
  readonly source: string
}

/**
 * Puts a copy of a dead letter into the outbox, in the dead letter's own transaction, so it reaches the dead-letter
 * topic exactly once too. The copy is information for others: replay runs from the consumer's table.
 */
export async function emitDeadLetterCopy(
  connection: SqlConnection,
  outbox: DeadLetterOutbox,
  topic: string,
  letter: DeadLetter,
): Promise<void> {
  const headers = { ...ownHeaders(letter), ...causeHeaders(letter) }
  await emitOutboxCopy(connection, outbox, topic, letter, headers)
}

/** A row of the outbox with the payload and the key of an event. */
export async function emitOutboxCopy(
  connection: SqlConnection,
  { source }: DeadLetterOutbox,
  topic: string,
  letter: DeadLetter,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const key = letter.record.key === null ? null : text(letter.record.key)
  await connection.query(insertOutboxCopy, [
    bucketOf(key),
    source,
    topic,
    letter.envelope.type === '' ? 'unknown' : letter.envelope.type,
    key,
    JSON.stringify(headers),
    letter.record.value,
  ])
}

/** The event's headers without the envelope's: the copy is an event of its own, and the outbox refuses a second envelope. */
function ownHeaders({ record }: DeadLetter): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headersAsText(record.headers)).filter(([name]) => !isReservedHeader(name)),
  )
}

/** The cause and the origin as text. `kafka_dlt-original-topic` is the name that Kafka consoles know. */
export const causeHeaders = (letter: DeadLetter): Record<string, string> => ({
  ...causeHeadersOf('oncebox-dlt', letter),
  'kafka_dlt-original-topic': letter.record.topic,
})

/** All but the name of the origin. */
export function causeHeadersOf(
  prefix: string,
  { consumer, envelope, record, attempts, code, reason, stack }: DeadLetter,
): Record<string, string> {
  return {
    [`${prefix}-consumer`]: consumer,
    [`${prefix}-code`]: code,
    [`${prefix}-reason`]: bounded(reason, 1_000),
    ...(stack === null ? {} : { [`${prefix}-stack`]: bounded(stack, 4_000) }),
    [`${prefix}-attempts`]: String(attempts),
    [`${prefix}-original-id`]: envelope.id,
    [`${prefix}-original-source`]: envelope.source,
    [`${prefix}-original-content-type`]: headerText(record.headers, envelopeHeaders.contentType) ?? '',
    [`${prefix}-original-topic-id`]: record.topicId,
    [`${prefix}-original-partition`]: String(record.partition),
    [`${prefix}-original-offset`]: String(record.offset),
    [`${prefix}-original-timestamp`]: record.timestamp.toISOString(),
  }
}
