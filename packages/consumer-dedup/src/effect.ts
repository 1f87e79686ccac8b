import { faultPoint, OutboxError, type SqlConnection } from '@oncebox/core'
import { classifyDatabaseError, classifyHandlerError, sqlState, type FailureKind } from './failure.js'
import type { MarkKey } from './mark-key.js'
import type { ResolvedConsumerOptions } from './options.js'
import { insertMark } from './sql/insert-mark.js'

/** What became of one transaction. */
export type EffectOutcome =
  | { readonly kind: 'handled' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'failed'; readonly failure: FailureKind; readonly error: unknown }

export interface Effect<Tx> {
  readonly mark: MarkKey
  /** The life token read together with the position. */
  readonly token: string
  /** What happens once: the handler, or the insert of a dead letter. */
  readonly work: (tx: Tx, connection: SqlConnection) => Promise<void>
  /** Runs in the transaction whether the event is new or a duplicate, after `work`. */
  readonly finish?: ((connection: SqlConnection) => Promise<void>) | undefined
  /** Told which server process runs the transaction, and undefined when it has ended. */
  readonly onBackend?: (backend: number | undefined) => void
}

/**
 * Runs `work` once per event: its dedup mark is the first statement of the same transaction, and the insert decides.
 * Never throws: an unknown outcome is a failure of the database, and the next run of the event finds out.
 */
export async function runEffect<Tx>(
  options: Pick<ResolvedConsumerOptions<Tx>, 'db' | 'name' | 'isolation'>,
  effect: Effect<Tx>,
): Promise<EffectOutcome> {
  const { db, name, isolation } = options
  let duplicate = false
  let failure: FailureKind | undefined
  try {
    await db.transaction(
      async (tx) => {
        const connection = db.inside(tx)
        duplicate = !(await insertsMark(connection, name, effect))
        if (!duplicate) {
          await faultPoint('consumer.mark.inserted')
          try {
            await effect.work(tx, connection)
          } catch (error) {
            failure = (await answers(connection)) ? classifyHandlerError(error) : 'database'
            throw error
          }
        }
        await effect.finish?.(connection)
        if (!duplicate) await faultPoint('consumer.effect.done')
      },
      {
        ...(isolation === undefined ? {} : { isolation }),
        commitSent: () => (duplicate ? undefined : faultPoint('consumer.commit.sent')),
      },
    )
  } catch (error) {
    return { kind: 'failed', failure: failure ?? classifyDatabaseError(error), error }
  } finally {
    effect.onBackend?.(undefined)
  }
  if (duplicate) return { kind: 'duplicate' }
  await faultPoint('consumer.commit.acked')
  return { kind: 'handled' }
}

async function insertsMark<Tx>(
  connection: SqlConnection,
  consumer: string,
  { mark, token, onBackend }: Effect<Tx>,
): Promise<boolean> {
  const { rows } = await connection.query<{ alive: number; inserted: number; backend: number }>(insertMark, [
    token,
    consumer,
    mark.source,
    mark.id,
    mark.eventAt,
  ])
  const row = rows[0]
  if (row === undefined || row.alive === 0) {
    throw new OutboxError(
      'CONSUMER_POSITION_LOST',
      'the database server crashed, failed over or was replaced since the position was read',
      {
        details: { consumer },
      },
    )
  }
  onBackend?.(row.backend)
  return row.inserted === 1
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
