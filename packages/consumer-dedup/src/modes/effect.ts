import { faultPoint, OutboxError, type SqlConnection, type SqlResult, type Statement } from '@oncebox/core'
import {
  classifyCommitError,
  classifyHandlerError,
  classifyOwnError,
  sqlState,
  type FailureKind,
} from '../failing/failure.js'
import { ownError } from '../failing/own-database.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import type { EffectOutcome } from './partition-effects.js'

/** What one database transaction does. */
export interface Effect<Tx> {
  /** The first statement of `decide`, where that may be sent with BEGIN. */
  readonly opening?: Statement | undefined
  /**
   * First statement of the transaction: whether there is something to do. The dedup mark, or the position, decides.
   * @param opened What it has answered, where it was sent with BEGIN
   */
  readonly decide: (connection: SqlConnection, opened?: SqlResult<object>) => Promise<boolean>
  /** What happens once: the handler, or the insert of a dead letter. */
  readonly work: (tx: Tx, connection: SqlConnection) => Promise<void>
  /** Runs in the transaction whether there is something to do or not, after `work`. */
  readonly finish?: ((connection: SqlConnection) => Promise<void> | undefined) | undefined
}

/**
 * Runs `work` in the transaction whose first statement decides that it has to happen. Never throws: an unknown outcome
 * is a failure of the database, and the next run of the event finds out.
 */
export async function runEffect<Tx>(
  { db, isolation, retryRule }: Pick<ResolvedDatabaseOptions<Tx>, 'db' | 'isolation' | 'retryRule'>,
  { opening, decide, work, finish }: Effect<Tx>,
): Promise<EffectOutcome> {
  let isBegun = false
  let isNew = false
  let isWhole = false
  let failure: FailureKind | undefined
  try {
    await db.transaction(
      async (tx, opened) => {
        isBegun = true
        const connection = db.inside(tx)
        isNew = await decide(connection, opened)
        if (isNew) {
          try {
            await work(tx, connection)
          } catch (error) {
            failure = (await answers(connection)) ? classifyHandlerError(error, retryRule) : 'unavailable'
            throw error
          }
        }
        await finish?.(connection)
        isWhole = true
        if (isNew) await faultPoint('consumer.effect.done')
      },
      {
        isolation,
        opening,
        commitSent: () => (isNew ? faultPoint('consumer.commit.sent') : undefined),
      },
    )
  } catch (thrown) {
    const error = isBegun ? thrown : ownError(thrown) // of the opening statement
    failure ??= isWhole ? classifyCommitError(error) : classifyOwnError(error)
    return { kind: 'failed', failure, error }
  }
  if (!isNew) return { kind: 'duplicate' }
  await faultPoint('consumer.commit.acked')
  return { kind: 'handled' }
}

/**
 * Whether the connection still works after the handler threw. A handler may fail because another service refused its
 * connection; only our own connection's death makes it the database's failure. In a failed transaction the server
 * answers with an error, which is an answer.
 */
async function answers(connection: SqlConnection): Promise<boolean> {
  try {
    await connection.query('select 1')
    return true
  } catch (error) {
    return (
      sqlState(error) === '25P02' ||
      OutboxError.is(error, 'OUTBOX_TRANSACTION_FAILED') ||
      OutboxError.is(error, 'OUTBOX_NOT_IN_TRANSACTION')
    )
  }
}
