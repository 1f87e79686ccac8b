import { readFile } from 'node:fs/promises'
import {
  aclCommandsFor,
  createDatabase,
  createNamedTopic,
  startSecuredKafka,
  type Acl,
  type SecuredKafka,
  type TestDatabase,
} from '@internal/stack'
import { readTopics } from '@internal/audit'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createRelay, type Relay } from '../src/index.js'
import { insertEvent, outboxTemplate, untilPublished, untilSeen } from './bed.js'

// The names of the document: the broker is this file's own.
const [name, user, topics] = ['orders', 'orders-relay', ['orders', 'payments']]
const page = new URL('../../../docs/operations/kafka-access.md', import.meta.url)
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

let kafka: SecuredKafka
let database: TestDatabase
let pool: pg.Pool
let relay: Relay

beforeAll(async () => {
  kafka = await startSecuredKafka({ users: [user] })
  for (const topic of topics) await createNamedTopic(topic, kafka.admin)
  for (const command of aclCommandsFor(await readFile(page, 'utf8'), user)) await kafka.kafkaAcls(command)
  database = await createDatabase({ template: outboxTemplate })
  pool = new pg.Pool({ connectionString: database.url })
})
afterEach(() => relay.stop())
afterAll(async () => {
  await pool.end()
  await database.drop()
  await kafka[Symbol.asyncDispose]()
})

const emit = (topic: string, key: string): Promise<unknown> =>
  pool.query(insertEvent, [topic, key, Buffer.from('{}')])

const newRelay = (): Relay =>
  (relay = createRelay({
    name,
    db: { connectionString: database.url },
    kafka: {
      brokers: kafka.listeners.sasl,
      ssl: { ca: kafka.authority },
      sasl: { mechanism: 'scram-sha-256', username: user, password: kafka.password(user) },
    },
    logger: silent,
  }))

const published = async (): Promise<Record<string, (string | null)[]>> => {
  const cluster = { ...kafka.admin, classpath: kafka.judgeClasspath }
  const records = await readTopics({ ...cluster, topics, isolation: 'read_committed' })
  return Object.fromEntries(topics.map((topic) => [topic, (records.get(topic) ?? []).map(({ key }) => key)]))
}

test('with exactly those it publishes, stops, and starts from its position', async () => {
  for (const key of ['first', 'second']) {
    const both = untilPublished(name, 2)
    await newRelay().start()
    for (const topic of topics) await emit(topic, key)
    await Promise.race([both, relay.stopped])
    await relay.stop()
  }
  expect(await published()).toEqual({ orders: ['first', 'second'], payments: ['first', 'second'] })
})

test('a topic that it may not write to is waited for: it goes on by itself when the ACL is granted', async () => {
  const acl: Acl = { user, operation: 'Write', resource: 'topic', name: 'payments' }
  await kafka.revoke([acl])
  const halted = untilSeen('relayHalted', name)
  const third = untilPublished(name, 1)
  await newRelay().start()
  await emit('payments', 'third')
  expect(await halted).toMatchObject({
    error: {
      code: 'RELAY_TOPIC_UNAVAILABLE',
      message: expect.stringContaining('lacks the ACL Write on topic payments') as string,
      cause: { code: 'KAFKA_AUTHORIZATION_FAILED' },
      details: { operation: 'Write', resourceType: 'topic', resourceName: 'payments' },
    },
  })
  expect(relay.state).toBe('running')

  await kafka.grant([acl])

  await Promise.race([third, relay.stopped])
  expect((await published())['payments']).toEqual(['first', 'second', 'third'])
})

test('without its progress topic or its transactional ids it stops at once, and says which ACL it lacks', async () => {
  const progress: Acl = { user, operation: 'Read', resource: 'topic', name: 'orders.progress' }
  const ids: Acl = {
    user,
    operation: 'Write',
    resource: 'transactional-id',
    name: 'oncebox:orders:',
    prefixed: true,
  }
  for (const acl of [progress, ids]) {
    await kafka.revoke([acl])
    await expect(newRelay().start()).rejects.toMatchObject({
      code: 'KAFKA_AUTHORIZATION_FAILED',
      details: { operation: acl.operation, resourceType: acl.resource },
    })
    await kafka.grant([acl])
  }
})
