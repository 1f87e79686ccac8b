/** Both drivers, each with its own way to write an effect and to emit. */
import type { Database } from '@oncebox/core'
import { fromKnex, fromPg, type PgTransaction, type TransactionHandle } from '@oncebox/outbox'
import knexFactory, { type Knex } from 'knex'
import pg from 'pg'
import type { Sent } from './fixture.js'

export interface Driver<Tx extends TransactionHandle> {
  readonly name: string
  open(url: string): { readonly db: Database<Tx>; close(): Promise<void> }
  insertEffect(tx: Tx, effect: Pick<Sent, 'id' | 'key' | 'value'>, consumer?: string): Promise<void>
}

export const pgDriver: Driver<PgTransaction> = {
  name: 'pg',
  open(connectionString) {
    const pool = new pg.Pool({ connectionString, max: 8 })
    pool.on('error', () => undefined) // tests end connections
    return { db: fromPg(pool), close: () => pool.end() }
  },
  async insertEffect(tx, { id, key, value }, consumer) {
    await tx.query('insert into effects (id, key, value, consumer) values ($1, $2, $3, $4)', [
      id,
      key,
      value,
      consumer ?? null,
    ])
  },
}

export const knexDriver: Driver<Knex.Transaction> = {
  name: 'knex',
  open(connection) {
    const knex = knexFactory({
      client: 'pg',
      connection,
      pool: { min: 0, max: 8 },
      log: { warn: () => undefined },
    })
    return { db: fromKnex(knex), close: () => knex.destroy() }
  },
  async insertEffect(tx, { id, key, value }, consumer) {
    await tx('effects').insert({ id, key, value, consumer: consumer ?? null })
  },
}
