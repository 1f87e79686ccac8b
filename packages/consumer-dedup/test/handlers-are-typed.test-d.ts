import { createConsumer, type ConsumedEvent } from '@oncebox/consumer-dedup'
import type { RedisDedup } from '@oncebox/consumer-dedup/redis'
import type { Database } from '@oncebox/core'
import { defineTopic, type PgTransaction } from '@oncebox/outbox'
import type { Knex } from 'knex'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'

const orders = defineTopic('orders', {
  events: {
    'order.placed': z.object({ orderId: z.string(), placedAt: z.coerce.date() }),
    'order.cancelled': z.object({ orderId: z.string(), reason: z.enum(['customer', 'fraud']) }),
  },
})
const payments = defineTopic('payments', { events: { 'payment.captured': z.object({ cents: z.int() }) } })
const refunds = defineTopic('refunds', { events: { 'refund.made': z.object({ cents: z.int() }) } })
declare const dedup: RedisDedup
declare const db: Database<PgTransaction>
declare const knexDb: Database<Knex.Transaction>
const options = { group: 'billing', kafka: { brokers: ['localhost:9092'] }, mode: 'inbox' } as const

describe('a handler', () => {
  test('gets the payload of its event type as the schema puts it out, and the transaction of the driver', () => {
    const consumer = createConsumer({ ...options, topics: [orders, payments], db })
    consumer.on('order.placed', async (event, { tx, signal }) => {
      expectTypeOf(event).toEqualTypeOf<ConsumedEvent<'order.placed', { orderId: string; placedAt: Date }>>()
      expectTypeOf(tx).toEqualTypeOf<PgTransaction>()
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>()
    })
    consumer.on('payment.captured', async ({ payload }) =>
      expectTypeOf(payload).toEqualTypeOf<{ cents: number }>(),
    )
    createConsumer({ ...options, topics: [orders], db: knexDb }).on(
      'order.cancelled',
      async (_event, { tx }) => {
        expectTypeOf(tx).toEqualTypeOf<Knex.Transaction>()
      },
    )
  })

  test('cannot be registered for an event that no topic has, or that a topic has which is not subscribed', () => {
    const consumer = createConsumer({ ...options, topics: [orders], db })
    // @ts-expect-error no such event
    consumer.on('order.shipped', async () => undefined)
    // @ts-expect-error of a topic that is not subscribed
    consumer.on('refund.made', async () => undefined)
    // @ts-expect-error of a topic that is not subscribed
    consumer.on('payment.captured', async () => undefined)
    expectTypeOf(refunds.name).toEqualTypeOf<'refunds'>()
  })

  test('cannot read what its event does not have, and must be asynchronous', () => {
    const consumer = createConsumer({ ...options, topics: [orders], db })
    consumer.on('order.placed', async ({ payload }) => {
      // @ts-expect-error belongs to order.cancelled
      return void payload.reason
    })
    // @ts-expect-error nobody would wait for its statements
    consumer.on('order.cancelled', () => undefined)
  })

  test('in mode redis writes commands on keys of Redis, and has no transaction', () => {
    const redis = { group: 'billing', kafka: { brokers: ['localhost:9092'] }, mode: 'redis', dedup } as const
    createConsumer({ ...redis, topics: [orders] }).on('order.placed', async ({ payload }, context) => {
      context.write({ keys: ['stock'], commands: [['hincrby', 'stock', payload.orderId, 1]] })
      // @ts-expect-error an effect has a key
      context.write({ keys: [], commands: [['ping']] })
      // @ts-expect-error of the modes that have a database
      return context.tx
    })
    // @ts-expect-error no marks
    createConsumer({ group: 'billing', kafka: redis.kafka, mode: 'redis', topics: [orders] })
  })

  test('needs a mode that exists and a database, not a pool', () => {
    // @ts-expect-error no such mode
    createConsumer({ ...options, mode: 'exactly-once', topics: [orders], db })
    // @ts-expect-error no database
    createConsumer({ ...options, topics: [orders] })
  })
})
