import { delay, nextDelayMs, type SqlConnection } from '@oncebox/core'
import type { EffectOutcome, GivenUp } from '../modes/partition-effects.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { rerunBackoff, rerunsMax } from './again.js'
import { emitDeadLetterCopy } from './dead-letter-topic.js'
import { causeOf, storeDeadLetter } from './dead-letter.js'

/**
 * Runs the work in the transaction whose first statement is the event's mark, moves the position past it, or locks the
 * queue it leaves.
 */
type InTransaction = (work: (connection: SqlConnection) => Promise<void>) => Promise<EffectOutcome>

/**
 * The dead letter, its mark and its copy for the dead-letter topic, in one transaction. Never throws. What cannot even be
 * stored fails with the kind `unavailable`: it holds its partition, and is never skipped.
 */
export async function buryEvent<Tx>(
  { name, deadLetterTopic, outbox }: ResolvedDatabaseOptions<Tx>,
  { subject, known, error, signal }: GivenUp,
  inTransaction: InTransaction,
): Promise<EffectOutcome> {
  const { record, envelope, mark } = subject
  let letter = { consumer: name, envelope, record, ...known, ...causeOf(error) }
  let isCopied = deadLetterTopic !== undefined && outbox !== undefined
  for (let reruns = 0; ;) {
    const outcome = await inTransaction(async (connection) => {
      await storeDeadLetter(connection, mark, letter)
      if (isCopied && deadLetterTopic !== undefined && outbox !== undefined)
        await emitDeadLetterCopy(connection, outbox, deadLetterTopic, letter)
    })
    if (outcome.kind !== 'failed') return outcome
    if (outcome.failure === 'attempt' && isCopied) {
      // The outbox refuses this copy for good (a tombstone without a key, say). The copy is information for others;
      // the letter is kept, and says so, rather than hold the partition for ever.
      isCopied = false
      letter = {
        ...letter,
        reason: `${letter.reason} (no copy on ${deadLetterTopic}: ${causeOf(outcome.error).reason})`,
      }
      continue
    }
    if (outcome.failure !== 'again' || reruns >= rerunsMax || signal.aborted)
      return { ...outcome, failure: 'unavailable' }
    reruns += 1
    await delay(nextDelayMs(rerunBackoff, reruns), signal).catch(() => undefined)
  }
}
