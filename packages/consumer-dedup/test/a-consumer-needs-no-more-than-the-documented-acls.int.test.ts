import { readFile } from 'node:fs/promises'
import {
  aclCommandsFor,
  createNamedTopic,
  startSecuredKafka,
  type Acl,
  type SecuredKafka,
  type TestDatabase,
} from '@internal/stack'
import { createConsumer, PermanentError, retryTopics, type KafkaOptions } from '@oncebox/consumer-dedup'
import { defineTopic } from '@oncebox/core'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { createInboxDatabase, defineOrders, effects, events, happens, publish } from './fixture.js'
import { effectConsumer, openPool, type OrdersConsumer } from './positions.js'

// The names of the document: the broker is this file's own.
const [user, group, writer] = ['billing', 'billing', 'taxes']
const page = new URL('../../../docs/operations/kafka-access.md', import.meta.url)
const orders = defineOrders('orders')
const taxes = defineTopic('taxes', { events: { 'tax.due': z.object({ orderId: z.string() }) } })
const deadLetterTopic = 'taxes.dead-letters'

let kafka: SecuredKafka
let database: TestDatabase
let pool: pg.Pool

beforeAll(async () => {
  kafka = await startSecuredKafka({ users: [user, writer] })
  for (const topic of [orders.name, taxes.name, deadLetterTopic]) await createNamedTopic(topic, kafka.admin)
  const document = await readFile(page, 'utf8')
  for (const command of [user, writer].flatMap((one) => aclCommandsFor(document, one)))
    await kafka.kafkaAcls(command)
  database = await createInboxDatabase()
  pool = openPool(database.url)
})
afterAll(async () => {
  await pool.end()
  await database.drop()
  await kafka[Symbol.asyncDispose]()
})

const accessOf = (username: string, password = kafka.password(username)): KafkaOptions => ({
  brokers: kafka.listeners.sasl,
  ssl: { ca: kafka.authority },
  sasl: { mechanism: 'scram-sha-512', username, password },
})

const newConsumer = (password?: string): OrdersConsumer =>
  effectConsumer(orders, pool, { group, kafka: accessOf(user, password) })

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

test('a retry topic that it may not create is named, with the command that creates it; where it exists Read is enough', async () => {
  const retrying = (): OrdersConsumer =>
    effectConsumer(orders, pool, {
      group,
      kafka: accessOf(user),
      outbox: { source: 'billing' },
      retry: retryTopics({ delaysMs: [10] }),
    })
  const topic = `${orders.name}.retry.${group}.1`
  const refused = retrying()
  await expect(refused.start()).rejects.toMatchObject({
    code: 'CONSUMER_RETRY_TOPIC_MISSING',
    message: expect.stringContaining('lacks the ACL Create on topic') as string,
    details: {
      command: expect.stringContaining(
        `--create --topic ${topic} --partitions 1 --replication-factor 1 --config cleanup.policy=delete`,
      ) as string,
    },
  })
  await refused.stop()
  await createNamedTopic(topic, kafka.admin)
  await kafka.grant([{ user, operation: 'Read', resource: 'topic', name: topic }])
  const consumer = retrying()
  await consumer.start()
  expect((await consumer.lag()).map((one) => one.topic).toSorted()).toEqual([orders.name, topic])
  await consumer.stop()
})

/** It sends for the first event, and writes a dead letter for the second. */
function newWriter() {
  const consumer = createConsumer({
    group: writer,
    topics: [orders],
    kafka: accessOf(writer),
    mode: 'kafka',
    source: 'taxes',
    outputs: [taxes],
    deadLetterTopic,
  })
  consumer.on('order.placed', async ({ payload }, { send }) => {
    if (payload.value === 1) throw new PermanentError('no tax for this one')
    send('tax.due', { orderId: payload.orderId })
  })
  return consumer
}

test('with exactly those of a consumer that writes to Kafka it sends, and writes a dead letter', async () => {
  const consumer = newWriter()
  const told = [happens('consumerHandled', writer), happens('consumerDeadLettered', writer)]
  await publish(orders, events(2), kafka.admin.brokers, kafka.admin.sasl)
  await consumer.start()
  await Promise.all(told)
  await consumer.stop()
  expect(consumer.failure).toBe(undefined)
})

test('without its transactional ids, or Read on a topic that it writes to, it stops and says which ACL it lacks', async () => {
  const missing: readonly Acl[] = [
    {
      user: writer,
      operation: 'Write',
      resource: 'transactional-id',
      name: `oncebox-consumer:${writer}:`,
      prefixed: true,
    },
    { user: writer, operation: 'Read', resource: 'topic', name: taxes.name },
  ]
  for (const acl of missing) {
    await kafka.revoke([acl])
    const consumer = newWriter()
    const failed = happens('consumerFailed', writer)
    await publish(orders, events(1), kafka.admin.brokers, kafka.admin.sasl)
    await consumer.start().catch(() => undefined) // without its transactional ids it does not even start
    expect(await failed).toMatchObject({
      error: {
        code: 'KAFKA_AUTHORIZATION_FAILED',
        details: { operation: acl.operation, resourceType: acl.resource },
      },
    })
    await consumer.stop()
    await kafka.grant([acl])
  }
})
