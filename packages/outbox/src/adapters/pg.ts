/** `pg` behind the Database port. */
import { OutboxError, type Database } from '@oncebox/core'
import type { Pool, PoolClient } from 'pg'
import { insideTransaction } from './transaction-handle.js'
import { isPgClient, runSql, type PgTransaction } from './pg-client.js'
import { runTransaction, type Lease } from './run-transaction.js'

/**
 * A `pg` pool as a database. The pool stays the caller's: oncebox takes connections and gives them back, and gives one
 * that broke back with its error, so that the pool discards it.
 *
 * @example
 * const db = fromPg(new pg.Pool({ connectionString }))
 * @throws OutboxError OUTBOX_OPTIONS_INVALID unless it is a pool of pg 8.21 or newer
 */
export function fromPg(pool: Pool): Database<PgTransaction> {
  if (typeof pool?.connect !== 'function' || !('totalCount' in pool)) throw invalid('fromPg takes a pg Pool')
  const outside = {
    query: <Row extends object>(sql: string, parameters?: readonly unknown[]) =>
      runSql<Row>(pool, sql, parameters),
  }
  return Object.freeze<Database<PgTransaction>>({
    driver: 'pg',
    outside,
    inside: insideTransaction,
    transaction: async (work, options = {}) =>
      runTransaction(leaseOf(await pool.connect()), outside, work, options),
  })
}

function leaseOf(client: PoolClient): Lease<PgTransaction> {
  if (!isPgClient(client))
    throw invalid('pg 8.21 or newer is needed: its clients tell the state of their transaction')
  return {
    client,
    async begin(isolation) {
      await client.query(isolation === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${isolation}`)
      return client
    },
    commit: async () => (await client.query('COMMIT')).command,
    rollback: () => client.query('ROLLBACK'),
    ended: () => false,
    release: (error) => client.release(error),
  }
}

const invalid = (message: string): OutboxError => new OutboxError('OUTBOX_OPTIONS_INVALID', message)
