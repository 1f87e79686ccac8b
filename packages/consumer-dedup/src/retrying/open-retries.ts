import { faultPoint, type SqlConnection } from '@oncebox/core'
import { emitOutboxCopy, type DeadLetterOutbox } from '../failing/dead-letter-topic.js'
import type { DeadLetter } from '../failing/dead-letter.js'
import type { Decision } from '../modes/database-partition.js'
import type { DatabasePosition } from '../positions/database-position.js'
import { positionLost } from '../positions/position-store.js'
import { insertRetry } from '../sql/insert-retry.js'
import { takeRetry } from '../sql/take-retry.js'
import { retryHeaders, type Retried } from './retry-copy.js'
import type { Tier } from './tiers.js'

/** First in the transaction of an event's copy: whether it is still to be handled. */
export async function takeRetried(
  connection: SqlConnection,
  consumer: string,
  { origin, tier }: Retried,
  position: DatabasePosition,
): Promise<Decision<boolean>> {
  const { rows } = await connection.query<{ alive: number; taken: number; backend: number }>(takeRetry, [
    position.token,
    consumer,
    origin.topicId,
    origin.partition,
    String(origin.offset),
    tier,
  ])
  const row = rows[0]
  if (row === undefined || row.alive === 0) throw positionLost(position.key, position.next)
  return { answer: row.taken === 1, backend: row.backend }
}

/** Forwards an event through the outbox, in the transaction that passes it. */
export async function forwardThroughOutbox(
  connection: SqlConnection,
  outbox: DeadLetterOutbox,
  letter: DeadLetter,
  tier: Tier,
): Promise<void> {
  const dueAt = new Date(Date.now() + tier.delayMs)
  const { record } = letter
  await connection.query(insertRetry, [
    letter.consumer,
    record.topicId,
    record.partition,
    String(record.offset),
    record.topic,
    letter.envelope.id,
    tier.number,
    dueAt,
  ])
  await emitOutboxCopy(connection, outbox, tier.topic, letter, retryHeaders(letter, tier, dueAt))
  await faultPoint('consumer.forwarding')
}
