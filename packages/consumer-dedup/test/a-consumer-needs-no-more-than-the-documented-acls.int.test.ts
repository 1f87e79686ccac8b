import { readFile } from 'node:fs/promises'
import {
  aclCommandsFor,
  createNamedTopic,
  startSecuredKafka,
  type Acl,
  type SecuredKafka,
  type TestDatabase,
} from '@internal/stack'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createInboxDatabase, defineOrders, effects, events, happens, publish } from './fixture.js'
import { effectConsumer, openPool, type OrdersConsumer } from './positions.js'

// The names of the document: the broker is this file's own.
const [user, group] = ['billing', 'billing']
const page = new URL('../../../docs/operations/kafka-access.md', import.meta.url)
const orders = defineOrders('orders')

let kafka: SecuredKafka
let database: TestDatabase
let pool: pg.Pool

beforeAll(async () => {
  kafka = await startSecuredKafka({ users: [user] })
  await createNamedTopic(orders.name, kafka.admin)
  for (const command of aclCommandsFor(await readFile(page, 'utf8'), user)) await kafka.kafkaAcls(command)
  database = await createInboxDatabase()
  pool = openPool(database.url)
})
afterAll(async () => {
  await pool.end()
  await database.drop()
  await kafka[Symbol.asyncDispose]()
})

const newConsumer = (password = kafka.password(user)): OrdersConsumer =>
  effectConsumer(orders, pool, {
    group,
    kafka: {
      brokers: kafka.listeners.sasl,
      ssl: { ca: kafka.authority },
      sasl: { mechanism: 'scram-sha-512', username: user, password },
    },
  })

test('with exactly those it joins its group, handles an event and commits its offset', async () => {
  const consumer = newConsumer()
  const handled = happens('consumerHandled', consumer.name)
  await consumer.start()
  const sent = events(1)
  await publish(orders, sent, kafka.admin.brokers, kafka.admin.sasl)
  await handled
  await consumer.stop()
  expect((await effects(pool)).map(({ id }) => id)).toEqual(sent.map(({ id }) => id))
})

test('without Read on its topic it does not start, and says which ACL it lacks', async () => {
  const acl: Acl = { user, operation: 'Read', resource: 'topic', name: orders.name }
  await kafka.revoke([acl])
  const consumer = newConsumer()
  await expect(consumer.start()).rejects.toMatchObject({
    code: 'KAFKA_AUTHORIZATION_FAILED',
    details: { operation: 'Read', resourceType: 'topic', resourceName: orders.name },
  })
  await consumer.stop()
  await kafka.grant([acl])
})

test('without Read on its group it does not start, and says which ACL it lacks', async () => {
  const acl: Acl = { user, operation: 'Read', resource: 'group', name: group }
  await kafka.revoke([acl])
  const consumer = newConsumer()
  await expect(consumer.start()).rejects.toMatchObject({
    code: 'KAFKA_AUTHORIZATION_FAILED',
    details: { operation: 'Read', resourceType: 'group', resourceName: group },
  })
  await consumer.stop()
  await kafka.grant([acl])
})

test('when Read on its topic is taken away from a consumer that runs, it stops and says so', async () => {
  const acl: Acl = { user, operation: 'Read', resource: 'topic', name: orders.name }
  // Describe stays: metadata and offsets are answered, records are not.
  await kafka.grant([{ ...acl, operation: 'Describe' }])
  const consumer = newConsumer()
  await consumer.start()
  const failed = happens('consumerFailed', consumer.name)
  await kafka.revoke([acl])
  expect(await failed).toMatchObject({
    error: {
      code: 'KAFKA_AUTHORIZATION_FAILED',
      details: { operation: 'Read', resourceType: 'topic', resourceName: orders.name },
    },
  })
  await consumer.stop()
  await kafka.grant([acl])
  await kafka.revoke([{ ...acl, operation: 'Describe' }])
})

test('with a wrong password it does not start, and no retry is made of that', async () => {
  const consumer = newConsumer('wrong')
  await expect(consumer.start()).rejects.toMatchObject({ code: 'KAFKA_AUTHENTICATION_FAILED' })
  await consumer.stop()
})
