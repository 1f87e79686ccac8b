import { startProxy, type Proxy } from '@internal/proxy'
import { createTopic, randomName, startPrivateKafka } from '@internal/stack'
import { createConsumer } from '@oncebox/consumer-dedup'
import { channels, type FaultPoint } from '@oncebox/core'
import { connectKafka, readPartition } from '@oncebox/kafka'
import { Kafka, logLevel, type Transaction } from 'kafkajs'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { markKeyOf } from '../src/records/mark-key.js'
import { startInboxProcess } from './inbox-process.js'
import {
  brokers,
  compare,
  createOrders,
  defineOrders,
  effects,
  events,
  eventually,
  happens,
  inOrder,
  publish,
} from './fixture.js'
import { storedPosition } from './positions.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox()

/** Repositionings of a consumer from now on. */
function repositionings(name: string): readonly unknown[] {
  const seen: unknown[] = []
  const listener = (message: unknown): void => {
    const { consumer, error } = message as { consumer: string; error: unknown } // what report.ts publishes
    if (consumer === name) seen.push(error)
  }
  channels.consumerRepositioning.subscribe(listener)
  onTestFinished(() => {
    channels.consumerRepositioning.unsubscribe(listener)
  })
  return seen
}

const zombies: readonly FaultPoint[] = [
  'consumer.attempt.started',
  'consumer.commit.acked',
  'consumer.position.written',
]

test.each(zombies)(
  'a consumer that is stopped at %s past its session and wakes up changes nothing',
  { timeout: 120_000 },
  async (point) => {
    const orders = await createOrders()
    const [name, group] = [randomName('billing'), randomName('group')]
    const timeouts = { sessionTimeoutMs: 1_500, heartbeatIntervalMs: 200 }
    const sent = events(40)
    await publish(orders, sent.slice(0, 20))
    const zombie = startInboxProcess(
      {
        url: inbox.url,
        brokers: brokers(),
        topic: orders.name,
        name,
        group,
        options: { ...timeouts, position: { eventsMax: 5 } },
      },
      `${point}@${point === 'consumer.commit.acked' ? 3 : 1}:stop`,
    )
    // Its group waits for it until its session is over, then gives the partition to the next member.
    await eventually(async () => (await storedPosition(inbox.pool, name)) !== undefined)
    if (point !== 'consumer.attempt.started')
      await eventually(async () => (await effects(inbox.pool)).length > 0)
    const next = inbox.consume(orders, inbox.pool, { name, group, ...timeouts })
    const assigned = happens('consumerAssigned', name, { where: ({ partitions }) => size(partitions) === 1 })
    const doubts = repositionings(name) // of `next`: the zombie is another process
    await next.start()
    await assigned
    await eventually(async () => compare(sent.slice(0, 20), await effects(inbox.pool)).lost === 0)

    zombie.kill('SIGCONT')
    await publish(orders, sent.slice(20))
    await eventually(async () => compare(sent, await effects(inbox.pool)).lost === 0)
    zombie.kill('SIGTERM')
    expect(await zombie.ended).toBe(null)
    await next.stop()

    const found = await effects(inbox.pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(found).toHaveLength(40)
    expect(inOrder(found)).toBe(true)
    expect(doubts).toEqual([]) // its position was never touched
  },
)

test.each(['inbox', 'position'] as const)(
  '%s: a transaction that stands idle and holds up the one that begins is ended, whichever message its statement is in',
  async (mode) => {
    const orders = await createOrders()
    const name = randomName('billing')
    const sent = events(8)
    const mark = markKeyOf({ id: sent[5]?.id ?? '', source: 'orders' })
    const consumer = inbox.consume(orders, inbox.pool, {
      name,
      mode,
      batch: { eventsMax: 1 },
      sessionTimeoutMs: 1_000,
      heartbeatIntervalMs: 200,
    })
    await consumer.start()
    // Now each begins in one message, with the statement that decides.
    await publish(orders, sent.slice(0, 5))
    await eventually(() => Promise.resolve(consumer.counts.handled === 5))
    const zombie = new pg.Client({ connectionString: inbox.url })
    const ended = new Promise<Error>((resolve) => zombie.on('error', resolve))
    await zombie.connect()
    await zombie.query('begin')
    if (mode === 'position')
      await zombie.query('select from inbox.positions where consumer = $1 for update', [name])
    else
      await zombie.query('select from inbox.mark((select token from inbox.life), $1, $2, $3, $4)', [
        name,
        'orders',
        mark.id,
        mark.eventAt,
      ])
    await publish(orders, sent.slice(5))
    await eventually(() => Promise.resolve(consumer.counts.handled === 8))
    expect(await ended).toMatchObject({ code: '57P01' })
    await consumer.stop()
    const found = await effects(inbox.pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found)).toBe(true)
  },
)

const size = (partitions: unknown): number => (Array.isArray(partitions) ? partitions.length : 0)

test(
  'a broker that is killed and comes back is consumed from where it was',
  { timeout: 120_000 },
  async () => {
    await using kafka = await startPrivateKafka()
    const orders = defineOrders(await createTopic('orders', { partitions: 2, brokers: kafka.brokers }))
    const sent = events(200, { keys: 20 })
    const consumer = inbox.consume(orders, inbox.pool, {
      kafka: { brokers: kafka.brokers },
      sessionTimeoutMs: 10_000,
    })
    await consumer.start()
    const first = happens('consumerHandled', consumer.name, { count: 20 })
    await publish(orders, sent.slice(0, 100), kafka.brokers)
    await first
    const missed = happens('consumerRestarting', consumer.name)
    await kafka.kill()
    await missed
    await kafka.start()
    await eventually(() =>
      publish(orders, sent.slice(100), kafka.brokers).then(
        () => true,
        () => false,
      ),
    )
    await eventually(async () => compare(sent, await effects(inbox.pool)).lost === 0)
    await consumer.stop()

    expect(consumer.failure).toBeUndefined()
    const found = await effects(inbox.pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found)).toBe(true)
  },
)

test('an event that takes long holds its own partition, not the others of its broker', async () => {
  const orders = await createOrders(3)
  const sent = events(90).map((event, index) => ({ ...event, partition: index % 3 }))
  const others = sent.filter(({ partition }) => partition !== 0)
  let finish: () => void = () => undefined
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const consumer = inbox.consume(orders, inbox.pool, {
    handle: async (value) => {
      if (value === 0) await finished
    },
  })
  const handled = happens('consumerHandled', consumer.name, { count: others.length })
  const all = happens('consumerHandled', consumer.name, { count: sent.length })
  await publish(orders, sent)
  await consumer.start()
  await handled
  const found = await effects(inbox.pool)
  expect(found.map(({ id }) => id).toSorted()).toEqual(others.map(({ id }) => id).toSorted())

  finish()
  await all
  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
})

test('an aborted event never takes effect, whoever aborts it and whatever its key', async () => {
  const orders = await createOrders()
  const consumer = inbox.consume(orders, inbox.pool)
  const kept = events(2)
  const begin = async (): Promise<Transaction> => {
    const producer = new Kafka({ brokers: brokers(), logLevel: logLevel.NOTHING }).producer({
      transactionalId: randomName('tx'),
      idempotent: true,
      maxInFlightRequests: 1,
    })
    await producer.connect()
    onTestFinished(() => producer.disconnect())
    return await producer.transaction()
  }
  const send = (transaction: Transaction, id: string, value: number) =>
    transaction.send({
      topic: orders.name,
      messages: [
        {
          key: Buffer.alloc(4), // as the marker of an abort has it
          value: JSON.stringify({ orderId: 'k', value }),
          headers: { ce_id: id, ce_type: 'order.placed', ce_source: 'orders' },
        },
      ],
    })
  const [first, second, third] = [await begin(), await begin(), await begin()]
  await send(first, 'aborted-1', 1)
  await send(second, 'aborted-2', 2)
  await send(first, 'aborted-3', 3)
  await second.abort()
  await send(first, 'aborted-4', 4)
  await send(third, 'committed', 5)
  await first.abort()
  await third.commit()
  await publish(orders, kept)
  const handled = happens('consumerHandled', consumer.name, { count: 3 })
  await consumer.start()
  await handled

  expect((await effects(inbox.pool)).map(({ id }) => id)).toEqual(['committed', ...kept.map(({ id }) => id)])
})

test(
  'mode kafka: where the answer to a commit is lost, or the commit itself, each event has its output once',
  { timeout: 120_000 },
  async () => {
    let started: Proxy | undefined
    await using kafka = await startPrivateKafka({
      proxiedAt: async (upstream) => (started = await startProxy({ protocol: 'kafka', upstream })).port,
    })
    if (started === undefined) throw new Error('the cluster was not asked for its proxy')
    await using proxy = started
    const through = [`${proxy.host}:${proxy.port}`]
    const [orders, output] = [
      defineOrders(await createTopic('orders', { brokers: kafka.brokers })),
      defineOrders(await createTopic('output', { brokers: kafka.brokers })),
    ]
    const name = randomName('billing')
    const consumer = createConsumer({
      group: name,
      topics: [orders],
      kafka: { brokers: through },
      mode: 'kafka',
      source: 'billing',
      outputs: [output],
      batch: { eventsMax: 1 },
    })
    onTestFinished(() => consumer.stop())
    consumer.on('order.placed', async ({ payload }, { send }) => send('order.placed', payload))
    const sent = events(30, { keys: 3 })
    await publish(orders, sent, kafka.brokers)
    using answer = proxy.on({ answer: 'EndTxn' }, 'cut-before')
    const doubts = repositionings(name)
    await consumer.start()
    await answer.fired
    using request = proxy.on({ request: 'EndTxn' }, 'cut-before')
    await request.fired
    await using client = await connectKafka({ brokers: kafka.brokers })
    const written = async (): Promise<number[]> => {
      const values: number[] = []
      for await (const { value } of readPartition(client, { topic: output.name, partition: 0 }))
        values.push((JSON.parse(String(value)) as { value: number }).value) // what the handler sends
      return values
    }
    await eventually(async () => (await written()).length >= sent.length)
    await consumer.stop()
    expect(await written()).toEqual(sent.map(({ value }) => value))
    expect(doubts).toHaveLength(2)
  },
)

test('what compaction has removed is passed without a doubt', { timeout: 120_000 }, async () => {
  await using kafka = await startPrivateKafka({ settings: { 'log.cleaner.backoff.ms': '100' } })
  const orders = defineOrders(
    await createTopic('orders', {
      brokers: kafka.brokers,
      config: {
        'cleanup.policy': 'compact',
        'segment.ms': '100',
        'min.cleanable.dirty.ratio': '0.001',
        'min.compaction.lag.ms': '0',
        'max.compaction.lag.ms': '100',
      },
    }),
  )
  const sent = events(30, { keys: 1 })
  // One at a time, so that each is a batch of its own, in segments that are soon closed.
  for (const event of sent) await publish(orders, [event], kafka.brokers)
  await using client = await connectKafka({ brokers: kafka.brokers })
  const left = async (): Promise<number> => {
    let count = 0
    for await (const _record of readPartition(client, { topic: orders.name, partition: 0 })) count += 1
    return count
  }
  await eventually(async () => (await left()) < 20)

  const consumer = inbox.consume(orders, inbox.pool, { kafka: { brokers: kafka.brokers } })
  const doubts = repositionings(consumer.name)
  await consumer.start()
  await expect
    .poll(() => storedPosition(inbox.pool, consumer.name), { timeout: 20_000, interval: 20 })
    .toBe('30')
  expect(doubts).toEqual([])
  expect((await effects(inbox.pool)).at(-1)?.id).toBe(sent.at(-1)?.id)
})
