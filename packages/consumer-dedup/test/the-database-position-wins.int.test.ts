import { createDatabase, randomName } from '@internal/stack'
import { createConsumer } from '@oncebox/consumer-dedup'
import { installFaultHandler } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { Kafka, logLevel } from 'kafkajs'
import pg from 'pg'
import { expect, test } from 'vitest'
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
  withProducer,
} from './fixture.js'
import { openPool, storedPosition } from './positions.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox()
const kafka = () => new Kafka({ brokers: brokers(), logLevel: logLevel.NOTHING })

/** What retention does: the log begins at `offset` afterwards. */
async function deleteRecords(topic: string, offset: string): Promise<void> {
  const admin = kafka().admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic) // loads the metadata that the next call takes for granted
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
  await admin.disconnect()
}

test('a new group with the same name goes on where the name was', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const sent = events(20)
  await publish(orders, sent.slice(0, 10))
  const first = inbox.consume(orders, inbox.pool, { name })
  const ten = happens('consumerHandled', name, { count: 10 })
  await first.start()
  await ten
  await first.stop()
  expect(await storedPosition(inbox.pool, name)).toBe('10')

  await publish(orders, sent.slice(10))
  const second = inbox.consume(orders, inbox.pool, { name })
  const rest = happens('consumerHandled', name, { count: 10 })
  await second.start()
  await rest

  expect(second.counts).toMatchObject({ handled: 10, duplicates: 0 })
  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
})

test('a database restored to an older state gets its lost effects again, once, although Kafka has the offset', async () => {
  const orders = await createOrders()
  const [name, group] = [randomName('billing'), randomName('group')]
  const sent = events(30)
  await publish(orders, sent.slice(0, 10))
  await using before = await createInboxDatabase()
  const live = openPool(before.url)
  const first = inbox.consume(orders, live, { name, group })
  const ten = happens('consumerHandled', name, { count: 10 })
  await first.start()
  await ten
  await first.stop()

  // The backup, then twenty more effects that it does not have.
  await using backup = await createDatabase()
  await live.end()
  const server = new pg.Client({ connectionString: inbox.url })
  await server.connect()
  await server.query(`drop database "${backup.name}" with (force)`)
  await server.query(`create database "${backup.name}" template "${before.name}"`)
  await server.end()
  const after = openPool(before.url)
  await publish(orders, sent.slice(10))
  const second = inbox.consume(orders, after, { name, group })
  const twenty = happens('consumerHandled', name, { count: 20 })
  await second.start()
  await twenty
  await second.stop()
  await after.end()

  const restored = openPool(backup.url)
  const third = inbox.consume(orders, restored, { name, group })
  const again = happens('consumerHandled', name, { count: 20 })
  await third.start()
  await again
  await third.stop()

  const found = await effects(restored)
  expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
  expect(found).toHaveLength(30)
  expect(inOrder(found)).toBe(true)
  await restored.end()
})

test('the position moves past transaction markers and aborted records, also when nothing follows', async () => {
  const orders = await createOrders()
  const consumer = inbox.consume(orders, inbox.pool)
  const producer = kafka().producer({
    transactionalId: randomName('tx'),
    idempotent: true,
    maxInFlightRequests: 1,
  })
  await producer.connect()
  const message = (id: string, value: number) => ({
    value: JSON.stringify({ orderId: 'k', value }),
    key: 'k',
    headers: { ce_id: id, ce_type: 'order.placed', ce_source: 'orders' },
  })
  const two = happens('consumerHandled', consumer.name, { count: 2 })
  await consumer.start()
  for (const [index, outcome] of (['commit', 'abort', 'commit', 'abort'] as const).entries()) {
    const transaction = await producer.transaction()
    await transaction.send({ topic: orders.name, messages: [message(`${outcome}-${index}`, index)] })
    await transaction[outcome]()
  }
  await producer.disconnect()
  await two

  await expect
    .poll(() => storedPosition(inbox.pool, consumer.name), { timeout: 10_000, interval: 20 })
    .toBe('8')
  expect((await effects(inbox.pool)).map(({ id }) => id)).toEqual(['commit-0', 'commit-2'])
})

test('an idle partition whose records retention has deleted is no reason to stop', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const first = inbox.consume(orders, inbox.pool, { name })
  const handled = happens('consumerHandled', name, { count: 3 })
  await publish(orders, events(3))
  await first.start()
  await handled
  await first.stop()
  await deleteRecords(orders.name, '3')

  const second = inbox.consume(orders, inbox.pool, { name })
  const next = happens('consumerHandled', name)
  await second.start()
  await publish(orders, events(1, { from: 3 }))
  await next
  expect(second.state).toBe('running')
})

test('records that were deleted before they took effect stop the consumer with a typed error', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const first = inbox.consume(orders, inbox.pool, { name })
  await publish(orders, events(3))
  const handled = happens('consumerHandled', name, { count: 3 })
  await first.start()
  await handled
  await first.stop()
  await publish(orders, events(3, { from: 3 }))
  await deleteRecords(orders.name, '5')

  const second = inbox.consume(orders, inbox.pool, { name })
  await expect(second.start()).rejects.toMatchObject({
    code: 'CONSUMER_POSITION_OUT_OF_RANGE',
    details: { position: '3', low: '5', high: '6' },
  })
  expect(second.state).toBe('failed')
  expect(second.failure).toMatchObject({ code: 'CONSUMER_POSITION_OUT_OF_RANGE' })
})

test('a topic that is created again under its name is read from its start', async () => {
  const orders = await createOrders()
  const consumer = inbox.consume(orders, inbox.pool)
  const sent = events(10)
  const before = happens('consumerHandled', consumer.name, { count: 5 })
  await publish(orders, sent.slice(0, 5))
  await consumer.start()
  await before

  const admin = kafka().admin()
  await admin.connect()
  await admin.deleteTopics({ topics: [orders.name] })
  await expect
    .poll(
      () =>
        admin
          .createTopics({ topics: [{ topic: orders.name, numPartitions: 1 }], waitForLeaders: false })
          .catch(() => false),
      { timeout: 20_000 },
    )
    .toBe(true)
  await admin.disconnect()
  // More records than before: fetched by name, offset 5 of the new topic looks like the place to go on.
  const after = happens('consumerHandled', consumer.name, { count: 5 })
  await expect
    .poll(
      () =>
        publish(orders, [...sent.slice(5), ...events(0)]).then(
          () => true,
          () => false,
        ),
      { timeout: 20_000 },
    )
    .toBe(true)
  await after

  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
})

test(
  'a topic that is created again while another one keeps the client from joining is read from its start',
  { timeout: 120_000 },
  async () => {
    const [orders, other] = [await createOrders(), await createOrders()]
    const name = randomName('billing')
    const consumer = createConsumer({
      group: name,
      topics: [orders, other],
      db: fromPg(inbox.pool),
      kafka: { brokers: brokers() },
      mode: 'inbox',
    })
    consumer.on('order.placed', async ({ id, payload }, { tx }) => {
      await tx.query('insert into effects (id, key, value) values ($1, $2, $3)', [
        id,
        payload.orderId,
        payload.value,
      ])
    })
    await using _stopped = consumer
    const admin = kafka().admin()
    await admin.connect()
    const create = (topic: string) =>
      eventually(() =>
        admin
          .createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false })
          .catch(() => false),
      )
    await consumer.start()

    // One try of the client at a topic that is not there takes longer than the watch's round: it sees the new topic
    // when the partitions' client has ended and the next has not joined. (A rejection that nobody handles fails the run.)
    const ended = happens('consumerRestarting', name, { timeoutMs: 60_000 })
    await admin.deleteTopics({ topics: [orders.name, other.name] })
    await ended
    const triedAgain = happens('consumerRestarting', name, { count: 2, timeoutMs: 60_000 })
    await create(orders.name)
    await triedAgain
    await create(other.name)
    await admin.disconnect()
    const sent = events(5)
    const handled = happens('consumerHandled', name, { count: 5, timeoutMs: 60_000 })
    await eventually(() =>
      publish(orders, sent).then(
        () => true,
        () => false,
      ),
    )
    await handled

    expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
  },
)

test('a partition that is added to a running group is read from its start', async () => {
  const orders = await createOrders()
  const [name, group] = [randomName('billing'), randomName('group')]
  const first = inbox.consume(orders, inbox.pool, { name, group })
  await first.start()
  const admin = kafka().admin()
  await admin.connect()
  await admin.createPartitions({ topicPartitions: [{ topic: orders.name, count: 2 }] })
  // kafkajs sends nothing to a partition that its metadata lack, and says nothing.
  await eventually(async () => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [orders.name] })
    return topics[0]?.partitions.length === 2
  })
  await admin.disconnect()
  const sent = events(6).map((event, index) => ({ ...event, partition: index % 2 }))
  await eventually(() =>
    publish(orders, sent).then(
      () => true,
      () => false,
    ),
  )

  // Another member makes the group look at the topic again; when it leaves, the first has both partitions.
  const second = inbox.consume(orders, inbox.pool, { name, group })
  await second.start()
  await second.stop()
  await eventually(async () => compare(sent, await effects(inbox.pool)).lost === 0)

  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
  expect(first.state).toBe('running')
})

test('a position that somebody else moved is read again', async () => {
  const orders = await createOrders()
  const consumer = inbox.consume(orders, inbox.pool)
  const sent = events(10)
  await consumer.start()
  await publish(orders, sent.slice(0, 5))
  await happens('consumerHandled', consumer.name, { count: 5, timeoutMs: 10_000 }).catch(() => undefined)
  await expect
    .poll(() => storedPosition(inbox.pool, consumer.name), { timeout: 10_000, interval: 20 })
    .toBe('5')
  await inbox.pool.query('update inbox.positions set next = 2, in_hand = 2 where consumer = $1', [
    consumer.name,
  ])

  const doubted = happens('consumerRepositioning', consumer.name)
  const rest = happens('consumerHandled', consumer.name, { count: 5 })
  await publish(orders, sent.slice(5))
  expect(await doubted).toMatchObject({ error: { code: 'CONSUMER_POSITION_LOST' } })
  await rest

  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
  await expect.poll(() => consumer.counts.duplicates).toBe(3)
})

test('a position that somebody else moves while a batch is in hand is not overwritten, but read again', async () => {
  const orders = await createOrders()
  const consumer = inbox.consume(orders, inbox.pool)
  const sent = events(5)
  let commits = 0
  installFaultHandler(async (point) => {
    if (point !== 'consumer.commit.acked' || (commits += 1) !== 5) return
    await inbox.pool.query('update inbox.positions set next = 2, in_hand = 2 where consumer = $1', [
      consumer.name,
    ])
  })
  const doubted = happens('consumerRepositioning', consumer.name)
  await publish(orders, sent)
  await consumer.start()
  expect(await doubted).toMatchObject({ error: { code: 'CONSUMER_POSITION_LOST' } })

  await expect
    .poll(() => storedPosition(inbox.pool, consumer.name), { timeout: 10_000, interval: 20 })
    .toBe('5')
  expect(consumer.counts).toMatchObject({ handled: 5, duplicates: 3 })
  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
})

test('records with a producer’s own key of zeros, and a thousand at once, all arrive', async () => {
  const orders = await createOrders(3)
  const consumer = inbox.consume(orders, inbox.pool)
  const sent = events(1_000, { keys: 50 })
  const all = happens('consumerHandled', consumer.name, { count: 1_000, timeoutMs: 60_000 })
  await consumer.start()
  await publish(orders, sent)
  await withProducer(brokers(), (producer) =>
    producer.send({ topic: orders.name, messages: [{ key: Buffer.alloc(4), value: 'x' }] }),
  )
  await all

  const found = await effects(inbox.pool)
  expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
  expect(inOrder(found)).toBe(true)
})

test('a consumer that starts at the latest event handles what comes from then on, also after a restart', async () => {
  const orders = await createOrders()
  const [before, after] = [events(5), events(5, { from: 5 })]
  await publish(orders, before)
  const name = randomName('billing')
  const first = inbox.consume(orders, inbox.pool, { name, startAt: 'latest' })
  await first.start()
  await first.stop()
  await publish(orders, after)
  const done = happens('consumerHandled', name, { count: after.length })
  const second = inbox.consume(orders, inbox.pool, { name, startAt: 'latest' })
  await second.start()
  await done
  await second.stop()
  expect(compare(after, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
  expect(await effects(inbox.pool)).toHaveLength(after.length)
})
