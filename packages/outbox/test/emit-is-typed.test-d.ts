import { createOutbox, defineTopic, fromKnex, fromPg, text, type PgTransaction } from '@oncebox/outbox'
import type { Knex } from 'knex'
import type { Client, Pool, PoolClient } from 'pg'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'

const orders = defineTopic('orders', {
  key: (order) => order.orderId,
  events: {
    'order.placed': z.object({ orderId: z.string(), placedAt: z.coerce.date() }),
    'order.cancelled': z.object({ orderId: z.string(), reason: z.enum(['customer', 'fraud']) }),
  },
})
const notes = defineTopic('notes', { events: { 'note.written': z.string() }, codec: text })
const outbox = createOutbox({ source: 'order-service', topics: [orders, notes] })

declare const pool: Pool
declare const client: Client
declare const poolClient: PoolClient
declare const knex: Knex
declare const trx: Knex.Transaction

test('transaction infers the transaction and the result from the adapter and work', () => {
  expectTypeOf(
    outbox.transaction(fromPg(pool), async (tx, emit) => {
      expectTypeOf(tx).toEqualTypeOf<PgTransaction>()
      expectTypeOf(emit('note.written', 'x')).toEqualTypeOf<string>()
      return 5
    }),
  ).toEqualTypeOf<Promise<number>>()
  void outbox.transaction(fromKnex(knex), async (tx, emit) => {
    expectTypeOf(tx).toEqualTypeOf<Knex.Transaction>()
    emit('order.cancelled', { orderId: 'a', reason: 'fraud' }, { headers: { a: 'b' } })
    emit('order.placed', null, { key: 'a' })
    // @ts-expect-error an event that no topic has
    emit('order.shipped', { orderId: 'a' })
    // @ts-expect-error a wrong payload
    emit('order.cancelled', { orderId: 'a', reason: 'weather' })
    // @ts-expect-error the payload of another event
    emit('note.written', { orderId: 'a', reason: 'fraud' })
    // @ts-expect-error a tombstone without a key
    emit('order.placed', null)
    // @ts-expect-error a header that is no string
    emit('note.written', 'x', { headers: { a: 1 } })
  })
})

test('emit takes a transaction of pg or knex', () => {
  expectTypeOf(outbox.emit(client, 'note.written', 'x')).toEqualTypeOf<Promise<string>>()
  void outbox.emit(poolClient, 'note.written', 'x', { partition: 1 })
  void outbox.emit(trx, 'order.placed', null, { key: 'a' })
  expectTypeOf(
    outbox.emitMany(trx, [
      { type: 'note.written', payload: 'x' },
      { type: 'order.placed', payload: null, key: 'a' },
    ]),
  ).toEqualTypeOf<Promise<string[]>>()
})

test('a pool or a root knex is no transaction', () => {
  // @ts-expect-error a Pool runs each statement by itself
  void outbox.emit(pool, 'note.written', 'x')
  // @ts-expect-error a root knex runs each statement by itself
  void outbox.emit(knex, 'note.written', 'x')
  // @ts-expect-error a Pool runs each statement by itself
  void outbox.emitMany(pool, [])
  // @ts-expect-error an adapter is no transaction
  void outbox.emit(fromPg(pool), 'note.written', 'x')
  // @ts-expect-error a client is no pool
  fromPg(client)
})

test('emitMany checks each event', () => {
  // @ts-expect-error an event that no topic has
  void outbox.emitMany(trx, [{ type: 'order.shipped', payload: {} }])
  // @ts-expect-error a payload of another event
  void outbox.emitMany(trx, [{ type: 'note.written', payload: { orderId: 'a' } }])
  // @ts-expect-error a tombstone without a key
  void outbox.emitMany(trx, [{ type: 'order.placed', payload: null }])
})
