import { randomName } from '@internal/stack'
import { createConsumer } from '@oncebox/consumer-dedup'
import { commitGroupOffsets, connectKafka, readGroupOffsets, type GroupOffset } from '@oncebox/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { afterEach, expect, test } from 'vitest'
import { brokers, createOrders, events, gate, happens, publish } from './fixture.js'

type Orders = Awaited<ReturnType<typeof createOrders>>
type Mode = 'at-least-once' | 'at-most-once'

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

/** A consumer that adds the values of its events to `done`. */
function consume(
  orders: Orders,
  group: string,
  done: number[],
  { mode = 'at-least-once', startAt }: { mode?: Mode; startAt: 'earliest' | 'latest' },
) {
  const consumer = createConsumer({ group, topics: [orders], kafka: { brokers: brokers() }, mode, startAt })
  consumer.on('order.placed', async ({ payload: { value } }) => {
    done.push(value)
  })
  endings.push(() => consumer.stop())
  return consumer
}

/** What retention does to a partition that is quiet: its log is empty, and begins where it ends. */
async function emptyLog(topic: string, partition: number, offset: string): Promise<void> {
  const admin = new Kafka({ brokers: brokers(), logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic) // loads the metadata that the next call takes for granted
  await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset }] })
  await admin.disconnect()
}

async function offsetsOf(groupId: string): Promise<readonly GroupOffset[]> {
  await using client = await connectKafka({ brokers: brokers() })
  return await readGroupOffsets(client, { groupId })
}

const on = (partition: number, from: number, count = 1) =>
  events(count, { from }).map((event) => ({ ...event, partition }))

test('a partition in which nothing happens is known to have begun: what comes while the consumer is down is handled, and nothing before', async () => {
  const orders = await createOrders(2)
  const group = randomName('billing')
  const done: number[] = []
  await publish(orders, [...on(0, 0, 3), ...on(1, 10, 3)])
  await emptyLog(orders.name, 1, '3')
  const start = async (startAt: 'earliest' | 'latest', count: number, name = group) => {
    const handled = happens('consumerHandled', name, { count })
    const consumer = consume(orders, name, done, { startAt })
    await consumer.start()
    if (count > 0) await handled
    else handled.catch(() => undefined)
    await consumer.stop()
    return done.splice(0).toSorted((a, b) => a - b)
  }
  expect(await start('earliest', 3)).toEqual([0, 1, 2])
  expect((await offsetsOf(group)).map(({ offset }) => offset)).toEqual([3n, 3n])
  await publish(orders, on(1, 13))
  expect(await start('earliest', 1)).toEqual([13])

  const late = randomName('billing')
  expect(await start('latest', 0, late)).toEqual([])
  await publish(orders, [...on(0, 3), ...on(1, 14)])
  expect(await start('latest', 2, late)).toEqual([3, 14])
})

test('a member that begins later begins where startAt says; a partition that was added begins at 0', async () => {
  const orders = await createOrders(2)
  const [early, late, other] = [randomName('early'), randomName('late'), randomName('other')]
  await publish(orders, [...on(0, 0, 3), ...on(1, 10, 3)])
  const done: number[] = []
  const first = consume(orders, early, done, { startAt: 'latest' })
  await first.start()
  await first.stop()
  // As if another member of the group had begun with its partition, and this one not yet.
  const [ofFirstPartition] = (await offsetsOf(early)).filter(({ partition }) => partition === 0)
  if (ofFirstPartition === undefined) throw new Error('no offset was committed')
  await using client = await connectKafka({ brokers: brokers() })
  await commitGroupOffsets(client, { groupId: late, offsets: [ofFirstPartition] })
  // Another client does not say how many partitions there were.
  await commitGroupOffsets(client, { groupId: other, offsets: [{ ...ofFirstPartition, metadata: '' }] })

  const second = consume(orders, late, done, { startAt: 'latest' })
  await second.start()
  const one = happens('consumerHandled', late)
  await publish(orders, on(1, 13))
  await one
  await second.stop()
  expect(done.splice(0)).toEqual([13])

  const four = happens('consumerHandled', other, { count: 4 })
  await consume(orders, other, done, { startAt: 'latest' }).start()
  await four
  expect(done.toSorted((a, b) => a - b)).toEqual([10, 11, 12, 13])
})

test('at-most-once: what ends a batch early loses no event but the one in hand', async () => {
  const orders = await createOrders()
  const group = randomName('billing')
  const begun: number[] = []
  const begin = (handle: (value: number) => Promise<void>) => {
    const consumer = createConsumer({
      group,
      topics: [orders],
      kafka: { brokers: brokers() },
      mode: 'at-most-once',
      exhausted: 'stop',
    })
    consumer.on('order.placed', async ({ payload: { value } }) => {
      begun.push(value)
      await handle(value)
    })
    endings.push(() => consumer.stop())
    return consumer
  }
  await publish(orders, events(10))
  const failed = happens('consumerFailed', group)
  await begin((value) =>
    value === 3 ? Promise.reject(new Error('no such order')) : Promise.resolve(),
  ).start()
  expect((await failed).error).toMatchObject({ code: 'CONSUMER_EVENT_STUCK' })
  expect((await offsetsOf(group)).map(({ offset }) => offset)).toEqual([4n])

  // A handler that does not come to its end.
  using held = gate()
  const inHand = gate()
  const second = begin(async (value) => {
    if (value !== 6) return
    inHand.open()
    await held.opened
  })
  await second.start()
  await inHand.opened
  await second.stop({ timeoutMs: 50 })
  held.open()

  await begin(() => Promise.resolve()).start()
  await expect.poll(() => begun.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(10)
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})
