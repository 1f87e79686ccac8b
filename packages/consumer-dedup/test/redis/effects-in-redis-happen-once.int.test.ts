import { createTopic, randomName, startPrivateRedis } from '@internal/stack'
import { createConsumer, PermanentError, type Consumer, type RedisContext } from '@oncebox/consumer-dedup'
import { createRedisDedup, type RedisDedup } from '@oncebox/consumer-dedup/redis'
import { delay, OutboxError } from '@oncebox/core'
import { expect, onTestFinished, test } from 'vitest'
import { brokers, createOrders, events, eventually, happens, publish } from '../fixture.js'
import { codeOf, connect, errorOf, gate, hourMs } from './fixture.js'

const redelivery = { topicRetentionMs: hourMs, segmentMs: 0 }
type Orders = readonly [Awaited<ReturnType<typeof createOrders>>]

interface Setup {
  readonly orders: Orders[0]
  readonly dedup: RedisDedup
  readonly redis: ReturnType<typeof connect>
  readonly name: string
  consume(options?: object): Consumer<Orders, RedisContext>
}

async function setUp({ accepted = true } = {}): Promise<Setup> {
  const server = await startPrivateRedis()
  onTestFinished(() => server[Symbol.asyncDispose]())
  const [orders, name, redis] = [await createOrders(1), randomName('stock'), connect(server.url)]
  const dedup = createRedisDedup({
    redis,
    consumer: name,
    retentionMs: hourMs,
    leaseMs: 1_000,
    onAmnesia: 'stop',
  })
  if (accepted) await dedup.accept()
  const consume = (options: object = {}): Consumer<Orders, RedisContext> => {
    const consumer = createConsumer({
      group: name,
      topics: [orders],
      kafka: { brokers: brokers() },
      mode: 'redis',
      dedup,
      redelivery,
      retry: { attemptsMax: 2, backoff: { minMs: 1, maxMs: 5 } },
      ...options,
    })
    onTestFinished(() => consumer.stop())
    return consumer
  }
  return { orders, dedup, redis, name, consume }
}

test('what a handler writes takes effect with its mark: all of it, once, and nothing of an attempt that fails', async () => {
  const { orders, redis, consume, name } = await setUp()
  const deadLetterTopic = await createTopic('letters')
  const consumer = consume({ deadLetterTopic })
  const failed = new Set<number>()
  await redis.set('text', 'no number')
  consumer.on('order.placed', async ({ payload: { value } }, { write }) => {
    write({ keys: ['sum'], commands: [['incrby', 'sum', value]] })
    if (value === 2 && !failed.has(value)) {
      failed.add(value)
      throw new Error('once')
    }
    if (value === 3) throw new PermanentError('never')
    if (value === 4) write({ keys: ['text'], commands: [['incr', 'text']] }) // a command that fails in Redis
    write({ keys: ['log'], commands: [['rpush', 'log', value]] })
    if (value === 5) return
  })
  const sent = events(6)
  const letters = happens('consumerDeadLettered', name, { count: 2 })
  await publish(orders, [...sent, ...sent.slice(0, 3)])
  await consumer.start()
  await letters
  await eventually(async () => consumer.counts.duplicates === 3)
  expect(await redis.lrange('log', 0, -1)).toEqual(['0', '1', '2', '5'])
  expect(await redis.get('sum')).toBe('8')
  expect(await redis.get('text')).toBe('no number')
  await consumer.stop()

  // A dead letter is marked, too: the same events again are duplicates all.
  const again = consume({ deadLetterTopic })
  again.on('order.placed', () => Promise.reject(new Error('ran')))
  await publish(orders, sent)
  await again.start()
  await eventually(async () => again.counts.duplicates === 6)
})

test('an event that somebody else holds waits for them, which costs no attempt', async () => {
  const { orders, redis, dedup, consume, name } = await setUp()
  const attempts: number[] = []
  const consumer = consume()
  consumer.on('order.placed', async ({ id, metadata }, { write }) => {
    attempts.push(metadata.attempt)
    write({ keys: ['log'], commands: [['rpush', 'log', id]] })
  })
  const [event] = events(1)
  if (event === undefined) throw new Error('one event')
  const given = gate()
  const held = codeOf(dedup.once({ source: 'orders', id: event.id }, () => given.opened))
  await publish(orders, [event])
  await consumer.start()
  await delay(1_500) // longer than a lease, which is extended
  expect(attempts).toEqual([])
  expect(consumer.state).toBe('running')
  const handled = happens('consumerDuplicate', name)
  given.open() // done by the other
  await handled
  expect(await held).toBe('none')

  const [second] = events(1, { from: 1 })
  if (second === undefined) throw new Error('another event')
  const failing = gate()
  const failed = errorOf(
    dedup.once({ source: 'orders', id: second.id }, async () => {
      await failing.opened
      throw new Error('gives up')
    }),
  )
  const taken = happens('consumerHandled', name)
  await publish(orders, [second])
  await delay(200)
  failing.open()
  await failed
  await taken
  expect(attempts).toEqual([1])
  expect(await redis.lrange('log', 0, -1)).toEqual([second.id])
})

test('a consumer whose Redis forgets stops, typed; one that starts there does not start before somebody accepts', async () => {
  const { orders, redis, dedup, consume, name } = await setUp()
  const consumer = consume()
  consumer.on('order.placed', async ({ id }, { write }) =>
    write({ keys: ['log'], commands: [['rpush', 'log', id]] }),
  )
  await consumer.start()
  const first = happens('consumerHandled', name, { count: 3 })
  await publish(orders, events(3))
  await first
  await redis.flushall()
  const failure = happens('consumerFailed', name)
  const lost = events(1)
  await publish(orders, lost)
  expect((await failure)['error']).toMatchObject({
    code: 'CONSUMER_REDIS_AMNESIA',
    details: { loss: 'missing' },
  })
  expect(consumer.state).toBe('failed')
  expect(await redis.exists('log')).toBe(0)

  const next = consume()
  next.on('order.placed', async ({ id }, { write }) =>
    write({ keys: ['log'], commands: [['rpush', 'log', id]] }),
  )
  expect(await codeOf(next.start())).toBe('CONSUMER_REDIS_AMNESIA')
  await dedup.accept()
  const handled = happens('consumerHandled', name)
  await next.start()
  await handled
  expect(await redis.lrange('log', 0, -1)).toEqual(lost.map(({ id }) => id))
})

test('a consumer that would forget an event while it can come again does not start, nor one with the marks of another', async () => {
  const { consume, dedup, orders } = await setUp()
  const forgetful = consume({ redelivery: undefined }) // the topic keeps records for a week, and its segments another
  forgetful.on('order.placed', () => Promise.resolve())
  const error: unknown = await forgetful.start().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({
    code: 'CONSUMER_DEDUP_WINDOW_TOO_SHORT',
    details: { retentionMs: hourMs, neededMs: 1_209_600_000 },
  })
  expect(() =>
    createConsumer({ group: 'other', topics: [orders], kafka: { brokers: brokers() }, mode: 'redis', dedup }),
  ).toThrow(OutboxError)
})
