import type { SqlConnection } from '@oncebox/core'
import type { DatabaseContext } from '../event.js'
import type { Handlers } from '../handlers.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { consumedEvent } from '../records/consumed-event.js'
import { finishDeadLetter } from '../sql/finish-dead-letter.js'
import { lockDeadLetter } from '../sql/lock-dead-letter.js'
import { decodeStored, type StoredEvent } from './stored-event.js'

/** What became of one dead letter that was to be replayed. */
export type ReplayResult =
  | { readonly id: string; readonly outcome: 'replayed' }
  /** No dead letter of this consumer has this id, or it was replayed already. */
  | { readonly id: string; readonly outcome: 'not-found' }
  /** The handler failed again; the dead letter stays as it is. */
  | { readonly id: string; readonly outcome: 'failed'; readonly error: unknown }

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
): Promise<StoredEvent | undefined> {
  return (await connection.query<StoredEvent>(lockDeadLetter, [consumer, id])).rows[0]
}

async function runHandler<Tx>(
  options: ResolvedDatabaseOptions<Tx>,
  handlers: Handlers<DatabaseContext<Tx>>,
  row: StoredEvent,
  tx: Tx,
  signal: AbortSignal,
): Promise<void> {
  const decoded = await decodeStored(options.topics, handlers, row)
  if (decoded.kind === 'unusable') throw decoded.error
  await handlers.run(consumedEvent(decoded.subject, row.attempts + 1), { tx, signal })
}
