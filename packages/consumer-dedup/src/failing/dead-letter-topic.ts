import { bucketOf, envelopeHeaders, headerText, isReservedHeader, type SqlConnection } from '@oncebox/core'
import type { DeadLetter } from './dead-letter.js'
import { headersAsText } from '../records/record.js'
import { insertOutboxCopy } from '../sql/insert-outbox-copy.js'
import { text } from '../records/text.js'

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
  { source }: DeadLetterOutbox,
  topic: string,
  letter: DeadLetter,
): Promise<void> {
  const key = letter.record.key === null ? null : text(letter.record.key)
  await connection.query(insertOutboxCopy, [
    bucketOf(key),
    source,
    topic,
    letter.envelope.type === '' ? 'unknown' : letter.envelope.type,
    key,
    JSON.stringify({ ...ownHeaders(letter), ...causeHeaders(letter) }),
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
export function causeHeaders({
  consumer,
  envelope,
  record,
  attempts,
  code,
  reason,
}: DeadLetter): Record<string, string> {
  return {
    'oncebox-dlt-consumer': consumer,
    'oncebox-dlt-code': code,
    'oncebox-dlt-reason': reason.slice(0, 1_000),
    'oncebox-dlt-attempts': String(attempts),
    'oncebox-dlt-original-id': envelope.id,
    'oncebox-dlt-original-source': envelope.source,
    'oncebox-dlt-original-content-type': headerText(record.headers, envelopeHeaders.contentType) ?? '',
    'oncebox-dlt-original-topic-id': record.topicId,
    'oncebox-dlt-original-partition': String(record.partition),
    'oncebox-dlt-original-offset': String(record.offset),
    'kafka_dlt-original-topic': record.topic,
  }
}
