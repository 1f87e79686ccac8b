/** A raw `pg` client: what it says about its transaction, and SQL on it that cannot slip out of that transaction. */
import { OutboxError, type SqlConnection, type SqlResult, type StatementOptions } from '@oncebox/core'
import type { ClientBase } from 'pg'
import { giveUpPrepared, keeps, keptStatement, learnDirectness } from './prepared-statements.js'

/** The client inside a transaction of `pg`, in progress. A `Pool` is no such thing, to the compiler and at run time. */
export type PgTransaction = ClientBase

// pg's own field, not in its types: false while a query is on its way.
interface PgInternals {
  readonly readyForQuery?: boolean
}

const roundsMax = 100

/** Whether `handle` is a pg client, of 8.21 or newer. */
export function isPgClient(handle: unknown): handle is ClientBase {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    'getTransactionStatus' in handle &&
    typeof handle.getTransactionStatus === 'function'
  )
}

/** Runs SQL; of several statements the last result counts. */
export async function runSql<Row extends object>(
  client: Pick<ClientBase, 'query'>,
  sql: string,
  parameters?: readonly unknown[],
  name?: string,
): Promise<SqlResult<Row>> {
  // Without parameters the simple protocol is used, and only that takes several statements.
  const answer = await (parameters === undefined
    ? client.query<Row>(sql)
    : name === undefined
      ? client.query<Row>(sql, [...parameters])
      : client.query<Row>({ name, text: sql, values: [...parameters] }))
  const result = Array.isArray(answer) ? (answer.at(-1) as typeof answer) : answer
  return { rows: result.rows, rowCount: result.rowCount ?? 0 }
}

/** A statement that fails because an earlier one did tells which rule was broken. */
function translate(error: unknown): unknown {
  if (typeof error === 'object' && error !== null && 'code' in error && error.code === '25P02') {
    return new OutboxError('OUTBOX_TRANSACTION_FAILED', 'an earlier statement of this transaction failed', {
      cause: error,
    })
  }
  return error
}

/**
 * Throws unless the client's last answer said that a transaction is in progress.
 * @throws OutboxError OUTBOX_NOT_IN_TRANSACTION, OUTBOX_TRANSACTION_FAILED
 */
export function assertInTransaction(client: ClientBase): void {
  const status = client.getTransactionStatus()
  if (status === 'T') return
  if (status === 'E')
    throw new OutboxError('OUTBOX_TRANSACTION_FAILED', 'an earlier statement of this transaction failed')
  throw new OutboxError('OUTBOX_NOT_IN_TRANSACTION', 'this pg client has no transaction in progress')
}

/** Throws as {@link assertInTransaction} does, once everything that was sent before has been answered. */
export async function assertSettledInTransaction(client: ClientBase, stillOpen: () => void): Promise<void> {
  for (let round = 0; isBusy(client); round += 1) {
    if (round === roundsMax)
      throw new OutboxError(
        'OUTBOX_NOT_IN_TRANSACTION',
        `the client is still busy after ${roundsMax} round trips`,
      )
    await client.query('')
  }
  stillOpen()
  assertInTransaction(client)
}

/** Everything that was sent has been answered, and its transaction is in progress. */
export const isSettledInTransaction = (client: ClientBase): boolean =>
  !isBusy(client) && client.getTransactionStatus() === 'T'

const isBusy = (client: ClientBase & PgInternals): boolean => client.readyForQuery === false

// The last statement of ours on each client: ours wait for each other, or each would find the next one's round trip
// in its way and make another.
const tails = new WeakMap<ClientBase, Promise<unknown>>()

/**
 * SQL on `client`, inside its transaction only. A statement that was sent and not awaited may be a COMMIT, behind which
 * ours would commit by itself. So a busy client is waited for and looked at again, and ours is sent in the same turn.
 * @param stillOpen Throws when the driver above knows that the transaction is over.
 */
export function insidePgClient(client: ClientBase, stillOpen: () => void = () => undefined): SqlConnection {
  const query = async <Row extends object>(
    sql: string,
    parameters?: readonly unknown[],
    { prepare = false }: StatementOptions = {},
  ): Promise<SqlResult<Row>> => {
    stillOpen()
    assertInTransaction(client)
    try {
      const tail = tails.get(client)
      const kept = prepare === false ? undefined : keptStatement(client, { sql, prepare })
      const run = (): Promise<SqlResult<Row>> => runSql<Row>(client, kept?.sql ?? sql, parameters, kept?.name)
      if (tail === undefined && !isBusy(client)) {
        const result = await run()
        if (kept !== undefined) keeps(client, kept)
        else if (prepare !== false) await learnDirectness(client)
        return result
      }
      const turn = afterTail(tail, client, stillOpen, run)
      tails.set(client, turn)
      try {
        return await turn
      } finally {
        if (tails.get(client) === turn) tails.delete(client)
      }
    } catch (error) {
      giveUpPrepared(client, error)
      throw translate(error)
    }
  }
  return { query }
}

async function afterTail<Result>(
  tail: Promise<unknown> | undefined,
  client: ClientBase,
  stillOpen: () => void,
  run: () => Promise<Result>,
): Promise<Result> {
  await tail?.catch(() => undefined)
  await assertSettledInTransaction(client, stillOpen)
  return run()
}
