/** `pg` behind the Database port. */
import { OutboxError, type Database, type TransactionOptions } from '@oncebox/core'
import type { Pool, PoolClient } from 'pg'
import { insideTransaction } from './transaction-handle.js'
import { isPgClient, runSql, type PgTransaction } from './pg-client.js'
import { beginWith, giveUpPrepared } from './prepared-statements.js'
import { runTransaction, type Begun, type Lease } from './run-transaction.js'

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
      runTransaction(new PgLease(await pool.connect()), outside, work, options),
  })
}

class PgLease implements Lease<PgTransaction> {
  readonly client: PoolClient

  constructor(client: PoolClient) {
    if (!isPgClient(client))
      throw invalid('pg 8.21 or newer is needed: its clients tell the state of their transaction')
    this.client = client
  }

  async begin({ isolation, opening }: TransactionOptions): Promise<Begun<PgTransaction>> {
    const { client } = this
    const begin = isolation === undefined ? 'BEGIN' : `BEGIN ISOLATION LEVEL ${isolation}`
    const both = opening && beginWith(client, begin, opening)
    if (both === undefined) {
      await client.query(begin)
      return { tx: client }
    }
    try {
      return { tx: client, opened: await runSql(client, both) }
    } catch (error) {
      giveUpPrepared(client, error)
      throw error
    }
  }

  async commit(): Promise<string> {
    const { command } = await this.client.query('COMMIT')
    return command
  }

  rollback(): Promise<unknown> {
    return this.client.query('ROLLBACK')
  }

  ended(): boolean {
    return false
  }

  release(error?: Error): void {
    this.client.release(error)
  }
}

const invalid = (message: string): OutboxError => new OutboxError('OUTBOX_OPTIONS_INVALID', message)
