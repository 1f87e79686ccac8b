import { createTopic, randomName, sharedStack } from '@internal/stack'
import { createConsumer, PermanentError } from '@oncebox/consumer-dedup'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { connectKafka, readPartition } from '@oncebox/kafka'
import { Redis } from 'ioredis'
import { afterAll, afterEach, expect, test } from 'vitest'
import { brokers, createOrders, events, happens, publish } from './fixture.js'

const redis = new Redis(sharedStack().redis.url, { lazyConnect: true })
const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})
afterAll(() => redis.disconnect())

type Orders = Awaited<ReturnType<typeof createOrders>>
type Mode = 'at-least-once' | 'kafka' | 'redis'

/** A consumer whose handler throws for the value 0, at length. */
async function consume(mode: Mode, orders: Orders, group: string, deadLetterTopic: string) {
  const common = { group, topics: [orders], kafka: { brokers: brokers() }, deadLetterTopic } as const
  const dedup = createRedisDedup({ redis, consumer: group, retentionMs: 1_209_600_000, onAmnesia: 'stop' })
  if (mode === 'redis') await dedup.accept()
  const consumer =
    mode === 'kafka'
      ? createConsumer({ ...common, mode, source: 'billing', outputs: [] })
      : mode === 'redis'
        ? createConsumer({ ...common, mode, dedup })
        : createConsumer({ ...common, mode })
  consumer.on(
    'order.placed',
    async ({ payload: { value } }: { readonly payload: { readonly value: number } }) => {
      if (value === 0) throw new PermanentError('no such order: '.padEnd(1_000, 'x'))
    },
  )
  endings.push(() => consumer.stop())
  return consumer
}

/** Headers of the letters. */
async function lettersOf(topic: string): Promise<string[][]> {
  await using client = await connectKafka({ brokers: brokers() })
  const found: string[][] = []
  for await (const { headers } of readPartition(client, { topic, partition: 0 }))
    found.push(
      headers.filter(([name]) => name.includes('dlt')).map(([name, value]) => `${name} ${value.length}`),
    )
  return found
}

/** The marker of a transaction may be written a moment after its answer. */
async function untilThere(topic: string): Promise<string[][]> {
  await expect.poll(() => lettersOf(topic).then(({ length }) => length)).toBeGreaterThan(0)
  return await lettersOf(topic)
}

// The event alone makes a batch of some 4,400 bytes, with its origin 400 more, with the words and the stack of its cause 3,000 more.
const largeEvents = () => events(2).map((event) => ({ ...event, key: event.key.padEnd(2_000, '-') }))
const topicOf = (bytes: number) => createTopic('letters', { config: { 'max.message.bytes': String(bytes) } })

test('a dead letter for which there is little room is kept without the words of its cause, or without all of it', async () => {
  const orders = await createOrders()
  await publish(orders, largeEvents())
  for (const { bytes, headers, reason } of [
    { bytes: 10_000, headers: 13, reason: 'oncebox-dlt-reason 1000' },
    { bytes: 5_500, headers: 12, reason: 'oncebox-dlt-reason 0' },
    { bytes: 4_600, headers: 0, reason: undefined },
  ]) {
    const group = randomName('billing')
    const topic = await topicOf(bytes)
    const handled = happens('consumerHandled', group)
    await (await consume('at-least-once', orders, group, topic)).start()
    await handled
    const letters = await untilThere(topic)
    expect(letters).toHaveLength(1)
    expect(letters[0]).toHaveLength(headers)
    expect(letters[0]?.find((line) => line.startsWith('oncebox-dlt-reason'))).toBe(reason)
  }
})

test.each(['at-least-once', 'kafka', 'redis'] as const)(
  'mode %s: where the topic refuses a dead letter the consumer stops and says so; with another topic it goes on',
  async (mode) => {
    const orders = await createOrders()
    await publish(orders, largeEvents())
    const group = randomName('billing')
    const [small, large] = [await topicOf(1_000), await topicOf(10_000)]
    const failed = happens('consumerFailed', group)
    await (await consume(mode, orders, group, small)).start()
    expect((await failed).error).toMatchObject({
      code: 'CONSUMER_EVENT_STUCK',
      cause: { code: 'KAFKA_RECORD_TOO_LARGE' },
    })
    const handled = happens('consumerHandled', group)
    await (await consume(mode, orders, group, large)).start()
    await handled
    expect(await untilThere(large)).toHaveLength(1)
  },
)
