import { randomName, runCommand, startPrivatePostgres, startPrivateRedis } from '@internal/stack'
import { createConsumer, type Consumer } from '@oncebox/consumer-dedup'
import { redisFilter, type InboxFilter } from '@oncebox/consumer-dedup/redis'
import { OutboxError } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { rename, rm } from 'node:fs/promises'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import {
  brokers,
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  eventually,
  happens,
  inOrder,
  publish,
  type Sent,
} from '../fixture.js'
import { connect, gate, hourMs } from './fixture.js'

interface Setup {
  readonly pool: pg.Pool
  readonly orders: Awaited<ReturnType<typeof createOrders>>
  readonly filter: InboxFilter
  readonly name: string
  consume(options?: object): Pick<Consumer<readonly [], never>, 'start' | 'stop' | 'counts'>
}

async function setUp(serverUrl?: string, partitions = 1): Promise<Setup> {
  const redisServer = await startPrivateRedis()
  onTestFinished(() => redisServer[Symbol.asyncDispose]())
  const [database, orders] = await Promise.all([createInboxDatabase(serverUrl), createOrders(partitions)])
  const pool = new pg.Pool({ connectionString: database.url, max: 6 })
  pool.on('error', () => undefined)
  onTestFinished(() => pool.end())
  const name = randomName('billing')
  const filter = redisFilter({
    redis: connect(redisServer.url),
    consumer: name,
    retentionMs: hourMs,
    timeoutMs: 5_000,
  })
  const consume = (options: object = {}) => {
    const consumer = createConsumer({
      name,
      group: randomName('group'), // another one does not wait for a member that is away
      topics: [orders],
      db: fromPg(pool),
      kafka: { brokers: brokers() },
      mode: 'inbox',
      filter,
      ...options,
    })
    consumer.on('order.placed', async ({ id, payload }, { tx }) => {
      await tx.query('insert into effects (id, key, value) values ($1, $2, $3)', [
        id,
        payload.orderId,
        payload.value,
      ])
    })
    onTestFinished(() => consumer.stop({ timeoutMs: 1_000 }))
    return consumer
  }
  return { pool, orders, filter, consume, name }
}

test.each([1, 50])('duplicates are kept away from the database, %i events together', async (eventsMax) => {
  const { pool, orders, filter, consume } = await setUp()
  const sent = events(60)
  const consumer = consume({ batch: { eventsMax } })
  await publish(orders, sent)
  await consumer.start()
  await eventually(async () => consumer.counts.handled === 60)
  await consumer.stop() // what was done is remembered with the position
  expect(filter.counts.known).toBe(0)

  const again = consume({ batch: { eventsMax } })
  const fresh = events(20, { from: 60 })
  await publish(orders, [...sent.slice(0, 30), ...fresh, ...sent.slice(30)])
  await again.start()
  await eventually(async () => again.counts.handled + again.counts.duplicates === 80)
  await again.stop()
  expect([again.counts.handled, again.counts.duplicates, filter.counts.known]).toEqual([20, 60, 60])
  const found = await effects(pool)
  expect(compare([...sent, ...fresh], found)).toEqual({ lost: 0, doubled: 0 })
  expect(inOrder(found)).toBe(true)
})

test('a database that is set back under a running consumer gets every lost effect again, although Redis remembers them', async () => {
  await using server = await startPrivatePostgres()
  const { pool, orders, filter, consume } = await setUp(server.url)
  const consumer = consume()
  const [kept, lost] = [events(20), events(20, { from: 20 })]
  await publish(orders, kept)
  await consumer.start()
  await eventually(async () => consumer.counts.handled === 20)
  // Files of a server that was shut down: they have the life token in them.
  const copy = `${server.dataDir}.copy`
  await server.stop('fast')
  await runCommand('cp', ['-a', server.dataDir, copy])
  await server.start()
  await publish(orders, lost)
  await eventually(async () => (await effects(pool).catch(() => [])).length === 40)
  // Delivered twice, so that the filter has been asked, and has kept them away.
  await publish(orders, lost)
  await eventually(async () => filter.counts.known > 0)
  await server.stop('fast')
  await rm(server.dataDir, { recursive: true })
  await rename(copy, server.dataDir)
  await server.start()

  await eventually(async () => (await effects(pool).catch(() => [])).length >= 40)
  const last = events(1, { from: 40 })
  await publish(orders, last)
  await eventually(async () => (await effects(pool)).some(({ id }) => id === last[0]?.id))
  const found = await effects(pool)
  expect(compare([...kept, ...lost, ...last], found)).toEqual({ lost: 0, doubled: 0 })
  expect(inOrder(found)).toBe(true)
}, 90_000)

test('between an answer of the filter and the move of the position the database may be set back: it is noticed', async () => {
  await using server = await startPrivatePostgres()
  const { pool, orders, filter, consume, name } = await setUp(server.url, 2)
  const asked = gate()
  const goOn = gate()
  // Holds an answer that keeps events away, as a process would that stands still.
  const slow: InboxFilter = {
    consumer: filter.consumer,
    counts: filter.counts,
    remember: (life, keys) => filter.remember(life, keys),
    knows: async (life, keys) => {
      const known = await filter.knows(life, keys)
      if (known.includes(true)) {
        asked.open()
        await goOn.opened
      }
      return known
    },
  }
  const consumer = consume({ filter: slow })
  const on = (sent: readonly Sent[], partition: number): Sent[] => sent.map((one) => ({ ...one, partition }))
  const [first, lost] = [on(events(1), 0), events(1, { from: 1 })]
  await publish(orders, first)
  await consumer.start()
  await eventually(async () => consumer.counts.handled === 1)
  const copy = `${server.dataDir}.copy`
  await server.stop('fast')
  await runCommand('cp', ['-a', server.dataDir, copy])
  await server.start()
  await publish(orders, on(lost, 1))
  await eventually(async () => (await effects(pool).catch(() => [])).length === 2)
  await publish(orders, on(lost, 0))
  await asked.opened
  await server.stop('fast')
  await rm(server.dataDir, { recursive: true })
  await rename(copy, server.dataDir)
  await server.start()
  await eventually(async () => (await effects(pool)).length >= 1)
  const noticed = happens('consumerRepositioning', name, {
    where: ({ partition, error }) => partition === 0 && OutboxError.is(error, 'CONSUMER_POSITION_LOST'),
  })
  goOn.open()
  await noticed
  await eventually(async () => consumer.counts.duplicates >= 1 && (await effects(pool)).length >= 2)
  expect(compare([...first, ...lost], await effects(pool))).toEqual({ lost: 0, doubled: 0 })
}, 60_000)

test('a filter of another consumer is refused: it would keep events away that this one has never had', async () => {
  const { consume } = await setUp()
  expect(() => consume({ name: 'other' })).toThrow(OutboxError)
  expect(() => consume({ mode: 'position' })).toThrow(OutboxError)
})
