import { OutboxError, type Envelope, type SqlConnection } from '@oncebox/core'
import { copyHeaders } from '../records/header-copy.js'
import type { MarkKey } from '../records/mark-key.js'
import type { ConsumerRecord } from '../records/record.js'
import { insertDeadLetter } from '../sql/insert-dead-letter.js'
import { storable } from '../records/text.js'

/** An event that this consumer has given up, with its cause. */
export interface DeadLetter {
  readonly consumer: string
  readonly envelope: Envelope
  readonly record: ConsumerRecord
  readonly attempts: number
  readonly kills: number
  readonly code: string
  readonly reason: string
  readonly stack: string | null
}

export interface Cause {
  readonly code: string
  readonly reason: string
  readonly stack: string | null
}

/** What made an attempt fail, in words that can be stored. Issues of a schema are part of the reason. */
export function causeOf(error: unknown): Cause {
  const code = OutboxError.is(error) ? error.code : 'CONSUMER_HANDLER_FAILED'
  const issues: unknown = OutboxError.is(error) ? error.details['issues'] : undefined
  const message = error instanceof Error ? error.message : String(error)
  return {
    code,
    reason: storable(issues === undefined ? message : `${message}: ${JSON.stringify(issues)}`, 10_000),
    stack: error instanceof Error && error.stack !== undefined ? storable(withCauses(error), 20_000) : null,
  }
}

function withCauses(error: Error): string {
  const stacks: string[] = []
  let current: unknown = error
  // Bounded: a chain of causes may be a ring.
  for (let depth = 0; depth < 8 && current instanceof Error; depth += 1) {
    stacks.push(current.stack ?? current.message)
    current = current.cause
  }
  return stacks.join('\ncaused by: ')
}

/** In the transaction that inserts the dedup mark. */
export async function storeDeadLetter(
  connection: SqlConnection,
  mark: MarkKey,
  letter: DeadLetter,
): Promise<void> {
  await connection.query(insertDeadLetter, letterValues(mark, letter))
}

/** The columns of `inbox.parked`, as the statements that insert into it name them. */
export function letterValues(mark: MarkKey, letter: DeadLetter): readonly unknown[] {
  const { record, envelope } = letter
  return [
    letter.consumer,
    mark.source,
    mark.id,
    envelope.id,
    envelope.type === '' ? null : envelope.type,
    record.topic,
    record.topicId,
    record.partition,
    String(record.offset),
    record.timestamp,
    mark.eventAt,
    record.key,
    JSON.stringify(copyHeaders(record.headers)),
    record.value,
    letter.attempts,
    letter.kills,
    letter.code,
    letter.reason,
    letter.stack,
  ]
}
