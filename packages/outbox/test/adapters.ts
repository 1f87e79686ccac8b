/** Both adapters, as the contract and the tests of this package open them. */
import type { DatabaseAdapter } from '@internal/contracts'
import { fromKnex, fromPg, type PgTransaction } from '@oncebox/outbox'
import knexFactory, { type Knex } from 'knex'
import pg from 'pg'

export const pgAdapter: DatabaseAdapter<PgTransaction> = {
  name: 'pg',
  open(connectionString, max) {
    const pool = new pg.Pool({ connectionString, max })
    pool.on('error', () => undefined) // tests terminate idle connections too
    return {
      db: fromPg(pool),
      async notTransactions() {
        const client = await pool.connect()
        client.release()
        return [
          { name: 'a pool', handle: pool },
          { name: 'a client that has not begun', handle: client },
        ]
      },
      run: (tx, sql) => tx.query(sql),
      async savepoint(tx, work) {
        await tx.query('savepoint inner_work')
        try {
          await work(tx)
          await tx.query('release savepoint inner_work')
        } catch (error) {
          await tx.query('rollback to savepoint inner_work')
          throw error
        }
      },
      async ownTransaction(work) {
        const client = await pool.connect()
        try {
          await client.query('begin')
          const result = await work(client)
          await client.query('commit')
          return result
        } catch (error) {
          await client.query('rollback')
          throw error
        } finally {
          client.release()
        }
      },
      allReturned: () => pool.idleCount === pool.totalCount && pool.waitingCount === 0,
      close: () => pool.end(),
    }
  },
}

interface TarnPool {
  numUsed(): number
  numPendingAcquires(): number
}

export const knexAdapter: DatabaseAdapter<Knex.Transaction> = {
  name: 'knex',
  open(connection, max) {
    const knex = knexFactory({
      client: 'pg',
      connection,
      pool: { min: 0, max },
      log: { warn: () => undefined },
    })
    const pool: TarnPool = knex.client.pool
    return {
      db: fromKnex(knex),
      notTransactions: async () => [{ name: 'a root knex', handle: knex }],
      run: async (tx, sql) => tx.raw(sql),
      savepoint: (tx, work) => tx.transaction(work),
      ownTransaction: (work) => knex.transaction(work),
      allReturned: () => pool.numUsed() === 0 && pool.numPendingAcquires() === 0,
      close: () => knex.destroy(),
    }
  },
}
