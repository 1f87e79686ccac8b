/** knex on `pg` behind the Database port. */
import { OutboxError, type Database, type SqlConnection, type SqlResult } from '@oncebox/core'
import type { Knex } from 'knex'
import type { ClientBase } from 'pg'
import { runSql } from './pg-client.js'
import { runTransaction, type Lease } from './run-transaction.js'
import { insideTransaction } from './transaction-handle.js'

// What knex hands to its dialects: `client` is untyped in its types.
interface KnexClient {
  readonly driverName: string
  acquireConnection(): Promise<KnexConnection>
  releaseConnection(connection: KnexConnection): Promise<unknown>
}

interface KnexConnection extends ClientBase {
  end?(): Promise<void>
  // Set: knex's pool throws the connection away instead of handing it out again.
  __knex__disposed?: unknown
  __knexTxId?: unknown
}

/**
 * A knex instance on PostgreSQL as a database. `work` gets a full `Knex.Transaction`; the COMMIT is sent by knex, and
 * its answer, which knex ignores, is checked.
 *
 * @example
 * const db = fromKnex(knex({ client: 'pg', connection }))
 * @throws OutboxError OUTBOX_OPTIONS_INVALID unless it is a root knex of the `pg` dialect
 */
export function fromKnex(knex: Knex): Database<Knex.Transaction> {
  const client: KnexClient | undefined = knex?.client
  if (client?.driverName !== 'pg') throw invalid("fromKnex takes a knex of client 'pg'")
  if (knex.isTransaction === true)
    throw invalid('fromKnex takes the root knex; inside a transaction use outbox.emit(trx, ...)')
  const outside = outsideOf(client)
  return Object.freeze<Database<Knex.Transaction>>({
    driver: 'knex',
    outside,
    inside: insideTransaction,
    transaction: async (work, options = {}) =>
      runTransaction(leaseOf(knex, client, await client.acquireConnection()), outside, work, options),
  })
}

function leaseOf(knex: Knex, client: KnexClient, connection: KnexConnection): Lease<Knex.Transaction> {
  return {
    client: connection,
    async begin({ isolation }) {
      const trx = await knex.transaction(undefined, {
        connection,
        ...(isolation === undefined ? {} : { isolationLevel: isolation }),
      })
      trx.executionPromise.catch(() => undefined) // rejected with what commit below throws
      return { tx: trx }
    },
    // knex resolves commit() with its query object, or with undefined where executionPromise says why.
    async commit(trx) {
      const query: unknown = await trx.commit()
      if (query === undefined) await trx.executionPromise
      return commandOf(query)
    },
    rollback: async (trx) => trx.rollback(),
    ended: (trx) => trx.isCompleted(),
    release(error) {
      delete connection.__knexTxId
      if (error !== undefined) {
        connection.__knex__disposed = error
        void endQuietly(connection)
      }
      void client.releaseConnection(connection)
    },
  }
}

async function endQuietly(connection: KnexConnection): Promise<void> {
  try {
    await connection.end?.()
  } catch {
    // It is broken already.
  }
}

function commandOf(query: unknown): string {
  if (typeof query === 'object' && query !== null && 'response' in query) {
    const { response } = query
    if (typeof response === 'object' && response !== null && 'command' in response)
      return String(response.command)
  }
  throw new Error('this knex does not hand out the answer to COMMIT')
}

function outsideOf(client: KnexClient): SqlConnection {
  return {
    async query<Row extends object>(sql: string, parameters?: readonly unknown[]): Promise<SqlResult<Row>> {
      const connection = await client.acquireConnection()
      try {
        return await runSql<Row>(connection, sql, parameters)
      } finally {
        await client.releaseConnection(connection)
      }
    },
  }
}

const invalid = (message: string): OutboxError => new OutboxError('OUTBOX_OPTIONS_INVALID', message)
