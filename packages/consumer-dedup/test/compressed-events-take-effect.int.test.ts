import { createTopic, randomName, type TestDatabase } from '@internal/stack'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import {
  compare,
  createInboxDatabase,
  defineOrders,
  effects,
  events,
  happens,
  inOrder,
  publish,
} from './fixture.js'
import { effectConsumer, openPool, type OrdersConsumer } from './positions.js'

let database: TestDatabase
let pool: pg.Pool
const running: OrdersConsumer[] = []

beforeAll(async () => {
  database = await createInboxDatabase()
  pool = openPool(database.url)
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((consumer) => consumer.stop()))
  await pool.query('truncate effects')
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

test.each(['gzip', 'snappy', 'lz4', 'zstd'])(
  'events in a topic that its broker compresses by %s take effect once',
  async (type) => {
    const orders = defineOrders(await createTopic('orders', { config: { 'compression.type': type } }))
    const sent = events(500)
    await publish(orders, sent)
    const consumer = effectConsumer(orders, pool, { group: randomName('group') })
    running.push(consumer)
    const all = happens('consumerHandled', consumer.name, { count: sent.length })
    await consumer.start()
    await all
    const found = await effects(pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found)).toBe(true)
  },
)
