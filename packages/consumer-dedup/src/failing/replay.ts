import { OutboxError, type SqlConnection } from '@oncebox/core'
import { decode } from '../records/decode.js'
import type { DatabaseContext } from '../event.js'
import type { Handlers } from '../handlers.js'
import { consumedEvent } from '../records/consumed-event.js'
import { markKeyOf } from '../records/mark-key.js'
import { readHeaderCopies, type HeaderCopy } from '../records/header-copy.js'
import type { ResolvedDatabaseOptions } from '../options.js'
import { keptRecord } from '../records/record.js'
import { finishDeadLetter } from '../sql/finish-dead-letter.js'
import { lockDeadLetter } from '../sql/lock-dead-letter.js'

/** What became of one dead letter that was to be replayed. */
export type ReplayResult =
  | { readonly id: string; readonly outcome: 'replayed' }
  /** No dead letter of this consumer has this id, or it was replayed already. */
  | { readonly id: string; readonly outcome: 'not-found' }
  /** The handler failed again; the dead letter stays as it is. */
  | { readonly id: string; readonly outcome: 'failed'; readonly error: unknown }

interface DeadLetterRow {
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

/**
 * Runs the handler on a dead letter's copy. Its dedup mark was committed with the dead letter, so re-publishing the
 * topic's copy would do nothing; the state of the row takes the mark's place, in the transaction of the effect.
 */
export async function replayDeadLetter<Tx>(
  options: ResolvedDatabaseOptions<Tx>,
  handlers: Handlers<DatabaseContext<Tx>>,
  id: string,
  signal: AbortSignal,
): Promise<ReplayResult> {
  try {
    const found = await options.db.transaction(async (tx) => {
      const connection = options.db.inside(tx)
      const row = await lock(connection, options.name, id)
      if (row === undefined) return false
      await runHandler(options, handlers, row, tx, signal)
      await connection.query(finishDeadLetter, [row.number])
      return true
    })
    return { id, outcome: found ? 'replayed' : 'not-found' }
  } catch (error) {
    return { id, outcome: 'failed', error }
  }
}

async function lock(
  connection: SqlConnection,
  consumer: string,
  id: string,
): Promise<DeadLetterRow | undefined> {
  return (await connection.query<DeadLetterRow>(lockDeadLetter, [consumer, id])).rows[0]
}

async function runHandler<Tx>(
  options: ResolvedDatabaseOptions<Tx>,
  handlers: Handlers<DatabaseContext<Tx>>,
  row: DeadLetterRow,
  tx: Tx,
  signal: AbortSignal,
): Promise<void> {
  const topic = options.topics.get(row.topic)
  if (topic === undefined) {
    throw new OutboxError(
      'CONSUMER_OPTIONS_INVALID',
      `the dead letter is of topic ${row.topic}, which this consumer does not name`,
    )
  }
  const record = keptRecord({
    topic: row.topic,
    topicId: row.topic_id,
    partition: row.partition,
    offset: BigInt(row.offset),
    timestamp: row.record_at,
    key: row.key,
    value: row.payload,
    headers: readHeaderCopies(row.headers),
  })
  const decoded = await decode(topic, record, (type) => handlers.has(type))
  if (decoded.kind === 'invalid') throw decoded.error
  const { envelope } = decoded
  if (decoded.kind === 'skipped')
    throw new OutboxError('CONSUMER_HANDLER_MISSING', `no handler for ${envelope.type}`)
  const subject = { record, envelope, mark: markKeyOf(envelope), payload: decoded.payload }
  await handlers.run(consumedEvent(subject, row.attempts + 1), { tx, signal })
}
