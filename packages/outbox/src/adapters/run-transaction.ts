/** One transaction from BEGIN to a COMMIT whose answer is read: the part that the adapters share. */
import { OutboxError, type SqlConnection, type SqlResult, type TransactionOptions } from '@oncebox/core'
import type { ClientBase } from 'pg'
import { assertSettledInTransaction, insidePgClient, isSettledInTransaction } from './pg-client.js'

/** A connection for one transaction, and the driver's own way of running it. */
export interface Lease<Tx> {
  readonly client: ClientBase
  /** May run the opening statement, too. Where that fails, the transaction is left to the caller. */
  begin(options: Pick<TransactionOptions, 'isolation' | 'opening'>): Promise<Begun<Tx>>
  /** Sends COMMIT at once, resolves with the tag of its answer: COMMIT, or ROLLBACK for a failed transaction. */
  commit(tx: Tx): Promise<string>
  rollback(tx: Tx): Promise<unknown>
  /** Whether the user ended the transaction by the driver's own means. */
  ended(tx: Tx): boolean
  /** Gives the connection back; with an error, it is thrown away. */
  release(error?: Error): void
}

export interface Begun<Tx> {
  readonly tx: Tx
  readonly opened?: SqlResult<object>
}

const rollbackMs = 5_000

/** Begins, runs `work` and `beforeCommit`, commits; anything thrown rolls back and passes on. */
export async function runTransaction<Tx, Result>(
  lease: Lease<Tx>,
  outside: SqlConnection,
  work: (tx: Tx, opened?: SqlResult<object>) => Promise<Result>,
  options: TransactionOptions,
): Promise<Result> {
  const { client } = lease
  let result: Result
  /** The connection broke before COMMIT was answered. */
  let lost: Error | undefined
  let broken: Error | undefined
  let isBegun = false
  // A pg client that loses its connection emits `error`, and a checked-out client has no other listener.
  const onError = (error: Error): void => void (broken ??= error)
  client.on('error', onError)
  try {
    const { tx, opened } = await lease.begin(options)
    isBegun = true
    try {
      result = await work(tx, opened)
      await assertCommittable(lease, tx)
      await options.beforeCommit?.(insidePgClient(client))
    } catch (error) {
      broken ??= await rolledBack(client, lease.ended(tx) ? undefined : lease.rollback(tx))
      throw error
    }
    // Known before COMMIT is sent: nothing to ask.
    if (broken !== undefined) throw commitLost(broken)
    lost = await commit(lease, tx, options).catch((error: unknown) => {
      if (isAnswer(error) || OutboxError.is(error)) throw error
      return toError(error)
    })
    broken ??= lost
  } catch (error) {
    // BEGIN or the opening statement: the client may not know yet what state it is in.
    if (!isBegun) broken ??= await rolledBack(client, client.query('ROLLBACK'))
    else if (!isAnswer(error) && client.getTransactionStatus() !== 'I') broken ??= toError(error)
    throw error
  } finally {
    client.removeListener('error', onError)
    lease.release(broken)
  }
  // Asked only now that the connection is released: a pool of one has no other to ask on.
  if (lost !== undefined) await settle(lost, outside, options)
  return result
}

async function assertCommittable<Tx>(lease: Lease<Tx>, tx: Tx): Promise<void> {
  if (!lease.ended(tx) && isSettledInTransaction(lease.client)) return
  try {
    await assertSettledInTransaction(lease.client, () => {
      if (lease.ended(tx))
        throw new OutboxError('OUTBOX_TRANSACTION_ENDED', 'work ended the transaction itself')
    })
  } catch (error) {
    if (OutboxError.is(error, 'OUTBOX_NOT_IN_TRANSACTION')) {
      throw new OutboxError('OUTBOX_TRANSACTION_ENDED', 'work ended the transaction itself', { cause: error })
    }
    throw error
  }
}

async function commit<Tx>(lease: Lease<Tx>, tx: Tx, options: TransactionOptions): Promise<undefined> {
  const answer = lease.commit(tx)
  answer.catch(() => undefined) // awaited below; the hook must not make it an unhandled rejection
  await options.commitSent?.()
  const tag = await answer
  if (tag === 'COMMIT') return undefined
  throw new OutboxError(
    'OUTBOX_COMMIT_ROLLED_BACK',
    `COMMIT was answered with ${tag}: a statement of the transaction had failed`,
  )
}

/** Undefined when the connection is clean again, else why it must be thrown away. */
async function rolledBack(
  client: ClientBase,
  rollback: Promise<unknown> | undefined,
): Promise<Error | undefined> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`ROLLBACK was not answered in ${rollbackMs} ms`)), rollbackMs)
  })
  try {
    await Promise.race([rollback, tooLate])
    return client.getTransactionStatus() === 'I'
      ? undefined
      : new Error('the transaction could not be rolled back')
  } catch (error) {
    return toError(error)
  } finally {
    clearTimeout(timer)
  }
}

async function settle(lost: Error, outside: SqlConnection, options: TransactionOptions): Promise<void> {
  let outcome: 'committed' | 'rolled-back' | 'unknown' = 'unknown'
  const causes: unknown[] = [lost]
  try {
    outcome = (await options.resolveCommit?.(outside)) ?? 'unknown'
  } catch (error) {
    causes.push(error)
  }
  if (outcome === 'committed') return
  const cause = causes.length === 1 ? lost : new AggregateError(causes, lost.message)
  if (outcome === 'rolled-back') throw commitLost(cause)
  throw new OutboxError(
    'OUTBOX_COMMIT_UNKNOWN',
    'the connection was lost during COMMIT, and what became of it cannot be learned',
    { cause },
  )
}

const commitLost = (cause: Error): OutboxError =>
  new OutboxError(
    'OUTBOX_COMMIT_LOST',
    'the connection was lost at COMMIT, and the transaction was rolled back',
    { cause },
  )

// An ERROR at COMMIT (a deferred constraint, a serialization failure) has rolled the transaction back. Connection
// exceptions (08), operator intervention (57), system and internal errors (58, XX) may come after the commit record.
const interrupted = /^(?:08|57|58|XX)/

function isAnswer(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('severity' in error) || !('code' in error))
    return false
  return typeof error.code === 'string' && error.code.length === 5 && !interrupted.test(error.code)
}

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
