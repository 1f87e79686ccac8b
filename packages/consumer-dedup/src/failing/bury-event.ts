import type { SqlConnection } from '@oncebox/core'
import type { EffectOutcome, GivenUp } from '../modes/partition-effects.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { emitDeadLetterCopy } from './dead-letter-topic.js'
import { causeOf, storeDeadLetter, type DeadLetter } from './dead-letter.js'
import { rerun } from './rerun.js'
import { markKeyOf } from '../records/mark-key.js'
import { originRecord } from '../retrying/origin-record.js'

/**
 * Runs the work in the transaction whose first statement is the event's mark, moves the position past it, or locks the
 * queue it leaves.
 */
type InTransaction = (work: (connection: SqlConnection) => Promise<void>) => Promise<EffectOutcome>

/**
 * The dead letter, its mark and its copy for the dead-letter topic, in one transaction. Never throws. What cannot even be
 * stored holds its partition, and is never skipped.
 */
export async function buryEvent<Tx>(
  { name, deadLetterTopic, outbox }: ResolvedDatabaseOptions<Tx>,
  { subject, known, error, signal }: GivenUp,
  inTransaction: InTransaction,
): Promise<EffectOutcome> {
  const { envelope } = subject
  const record = originRecord(subject)
  const mark = markKeyOf(envelope)
  const letter = { consumer: name, envelope, record, ...known, ...causeOf(error) }
  const bury = (kept: DeadLetter, copyTo: string | undefined): Promise<EffectOutcome> =>
    rerun(signal, () =>
      inTransaction(async (connection) => {
        await storeDeadLetter(connection, mark, kept)
        if (copyTo !== undefined && outbox !== undefined)
          await emitDeadLetterCopy(connection, outbox, copyTo, kept)
      }),
    )
  const outcome = await bury(letter, deadLetterTopic)
  if (outcome.kind !== 'failed' || outcome.failure === 'unavailable' || signal.aborted) return outcome
  if (deadLetterTopic === undefined || outbox === undefined) return outcome
  // The outbox refuses this copy for good (a tombstone without a key, say). The copy is information for others; the letter
  // is kept, and says so, rather than hold the partition for ever.
  const reason = `${letter.reason} (no copy on ${deadLetterTopic}: ${causeOf(outcome.error).reason})`
  return await bury({ ...letter, reason }, undefined)
}
