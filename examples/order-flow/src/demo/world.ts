/** What the flow runs on: four databases, four topics, a queue and a port, all of them this run's own. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createDatabase, randomName, type RunningStack, type TestDatabase } from '@internal/stack'
import { migrateInbox } from '@oncebox/consumer-dedup'
import { delay } from '@oncebox/core'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import { Queue } from 'bullmq'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import pg from 'pg'
import { serviceNames, type Addresses, type ServiceName } from './programs.js'
import type { Scenario } from './scenario.js'

/** The topics of the flow, without the prefix of the run. */
export const topicNames = ['orders', 'payments', 'stock', 'mails'] as const

export interface World extends Addresses {
  readonly classpath: string
  readonly pools: Readonly<Record<ServiceName, pg.Pool>>
  /** Closes connections and drops what was created. */
  destroy(): Promise<void>
}

const partitions = 4
const leaderTriesMax = 200
const leaderTryMs = 50

/** Creates everything, with accounts and stock filled. */
export async function createWorld(stack: RunningStack, { accounts, stock }: Scenario): Promise<World> {
  const prefix = `${randomName('flow')}.`
  const { brokers, classpath } = stack.kafka
  const redisUrl = stack.redis.url
  const [databases, httpPort] = await Promise.all([
    createDatabases(stack.postgres.url),
    freePort(),
    createTopics(brokers, prefix),
  ])
  const databaseUrls = mapServices((service) => databases[service].url)
  const pools = mapServices((service) => newPool(databaseUrls[service]))
  await pools.payment.query(
    'insert into accounts select customer, cents, cents from unnest($1::text[], $2::bigint[]) as t (customer, cents)',
    [accounts.map(({ customerId }) => customerId), accounts.map(({ initialCents }) => initialCents)],
  )
  await pools.inventory.query(
    'insert into stock select sku, pieces, pieces from unnest($1::text[], $2::integer[]) as t (sku, pieces)',
    [stock.map(({ sku }) => sku), stock.map(({ initial }) => initial)],
  )
  const destroy = async (): Promise<void> => {
    await Promise.all(Object.values(pools).map((pool) => pool.end()))
    // Litter on a stack that others go on using; where the stack is gone, so is this.
    await Promise.allSettled(Object.values(databases).map((database) => database.drop()))
    await withAdmin(brokers, (admin) =>
      admin.deleteTopics({ topics: topicNames.map((name) => `${prefix}${name}`) }),
    ).catch(() => undefined)
    await emptyQueue(redisUrl, `${prefix}mails`).catch(() => undefined)
  }
  return { prefix, brokers, redisUrl, classpath, httpPort, databaseUrls, pools, destroy }
}

async function emptyQueue(url: string, name: string): Promise<void> {
  const queue = new Queue(name, { connection: { url, maxRetriesPerRequest: 1, retryStrategy: () => null } })
  queue.on('error', () => undefined)
  await queue.obliterate({ force: true })
  await queue.close()
}

function newPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 2 })
  pool.on('error', () => undefined) // the next query fails, and tells
  return pool
}

/** One value per service. */
export function mapServices<Value>(make: (service: ServiceName) => Value): Record<ServiceName, Value> {
  return Object.fromEntries(serviceNames.map((service) => [service, make(service)])) as Record<
    ServiceName,
    Value
  > // fromEntries forgets the names
}

async function createDatabases(serverUrl: string): Promise<Record<ServiceName, TestDatabase>> {
  const created = await Promise.all(serviceNames.map((service) => createServiceDatabase(serverUrl, service)))
  return Object.fromEntries(serviceNames.map((service, index) => [service, created[index]])) as Record<
    ServiceName,
    TestDatabase
  > // as above
}

async function createServiceDatabase(serverUrl: string, service: ServiceName): Promise<TestDatabase> {
  const database = await createDatabase({ serverUrl })
  const schema = await readFile(
    fileURLToPath(new URL(`../../schemas/${service}-service.sql`, import.meta.url)),
    'utf8',
  )
  const pool = new pg.Pool({ connectionString: database.url, max: 1 })
  try {
    await pool.query(schema)
    await migrateOutbox(fromPg(pool))
    await migrateInbox(fromPg(pool))
  } finally {
    await pool.end()
  }
  return database
}

async function createTopics(brokers: readonly string[], prefix: string): Promise<void> {
  const topics = topicNames.map((name) => `${prefix}${name}`)
  await withAdmin(brokers, async (admin) => {
    await admin.createTopics({
      waitForLeaders: false,
      topics: topics.map((topic) => ({ topic, numPartitions: partitions })),
    })
    for (const topic of topics) await untilLed(admin, topic)
  })
}

/** Only a leader at work knows the offsets; Kafka offers nothing to wait on. */
async function untilLed(admin: Admin, topic: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      if ((await admin.fetchTopicOffsets(topic)).length === partitions) return
    } catch (error) {
      if (attempt === leaderTriesMax) throw error
    }
    await delay(leaderTryMs)
  }
}

async function withAdmin<Result>(
  brokers: readonly string[],
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const admin = new Kafka({
    clientId: 'order-flow-demo',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
  }).admin({ retry: { retries: 3 } })
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Free now; the order service takes it again each time it is started. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port')
  return address.port
}
