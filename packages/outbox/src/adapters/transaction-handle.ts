/** The caller's own transaction, of any driver known here: recognised, checked, and turned into a connection. */
import { OutboxError, type SqlConnection } from '@oncebox/core'
import type { ClientBase } from 'pg'
import { assertInTransaction, insidePgClient, isPgClient } from './pg-client.js'

/** A `pg` client that has begun. Told by its shape, so that neither driver's types are needed for the other. */
export interface PgTransactionHandle {
  getTransactionStatus(): string | null
}

/** A knex transaction in progress. */
export interface KnexTransactionHandle {
  readonly executionPromise: Promise<unknown>
  isCompleted(): boolean
}

/** What `emit` writes into: a transaction in progress. A pg `Pool` or a root `Knex` is none. */
export type TransactionHandle = PgTransactionHandle | KnexTransactionHandle

interface KnexTransaction {
  readonly isTransaction: true
  readonly client: { acquireConnection(): Promise<ClientBase> }
  isCompleted(): boolean
}

/**
 * SQL on the connection of `handle`, refused whenever its transaction is not in progress.
 * @throws OutboxError OUTBOX_NOT_IN_TRANSACTION, OUTBOX_TRANSACTION_FAILED, OUTBOX_TRANSACTION_ENDED
 */
export function insideTransaction(handle: unknown): SqlConnection {
  if (isPgClient(handle)) {
    assertInTransaction(handle)
    return insidePgClient(handle)
  }
  if (isKnexTransaction(handle)) {
    assertOpen(handle)
    return insideKnex(handle)
  }
  throw new OutboxError(
    'OUTBOX_NOT_IN_TRANSACTION',
    `${nameOf(handle)} is not a transaction: a pool or root instance runs each statement by itself`,
  )
}

// Straight to the pg connection: `$1` stays as it is, a literal `?` needs no escape, and errors do not carry values.
function insideKnex(trx: KnexTransaction): SqlConnection {
  return {
    async query(sql, parameters, options) {
      const connection = await trx.client.acquireConnection() // of a transaction: always the same one
      assertOpen(trx)
      return insidePgClient(connection, () => assertOpen(trx)).query(sql, parameters, options)
    },
  }
}

function assertOpen(trx: KnexTransaction): void {
  if (trx.isCompleted())
    throw new OutboxError('OUTBOX_TRANSACTION_ENDED', 'this knex transaction is completed')
}

// A knex instance is a function with properties.
function isKnexTransaction(handle: unknown): handle is KnexTransaction {
  return (
    (typeof handle === 'function' || (typeof handle === 'object' && handle !== null)) &&
    'isTransaction' in handle &&
    handle.isTransaction === true &&
    'isCompleted' in handle &&
    typeof handle.isCompleted === 'function' &&
    'client' in handle
  )
}

function nameOf(handle: unknown): string {
  if (typeof handle === 'function') return 'a function (a root knex?)'
  if (typeof handle === 'object' && handle !== null) return `a ${handle.constructor?.name ?? 'value'}`
  return String(handle)
}
