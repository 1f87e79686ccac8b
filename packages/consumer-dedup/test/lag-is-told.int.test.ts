import { randomName } from '@internal/stack'
import type { PartitionLag } from '@oncebox/consumer-dedup'
import { collectConsumerMetrics } from '@oncebox/consumer-dedup/metrics'
import { envelopeHeaders, json } from '@oncebox/core'
import { Kafka, logLevel } from 'kafkajs'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { brokers, createOrders, events, gate, happens, publish, type Sent } from './fixture.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox({ connectionsMax: 16, stopMs: 100 })

const to = (partition: number, sent: readonly Sent[]): Sent[] => sent.map((one) => ({ ...one, partition }))
const byPartition = (lags: readonly PartitionLag[]): (number | undefined)[] =>
  [0, 1].map((partition) => lags.find((one) => one.partition === partition)?.lag)
const gaugeOf = (partition: number, text: string): string | undefined =>
  new RegExp(`^oncebox_consumer_lag\\{.*partition="${partition}".*\\} (\\d+)$`, 'm').exec(text)?.[1]

test('how far a partition is behind is told also while its handler takes long, and when it is over a threshold and below it again', async () => {
  const orders = await createOrders(2)
  const name = randomName('billing')
  const registry = new Registry()
  using _metrics = collectConsumerMetrics(registry)
  using hold = gate()
  const consumer = inbox.consume(orders, inbox.pool, {
    name,
    lag: { warnAt: 8, intervalMs: 100 },
    handle: () => hold.opened,
  })
  const lagging = happens('consumerLagging', name)
  expect(await consumer.lag()).toEqual([]) // it has no partitions yet
  await consumer.start()
  expect(byPartition(await consumer.lag())).toEqual([0, 0])
  const held = happens('consumerHandling', name)
  await publish(orders, to(0, events(5)))
  await held
  await publish(orders, to(0, events(1))) // fetched, and waits: from here on nothing is fetched
  await expect.poll(() => consumer.lag().then(byPartition)).toEqual([6, 0])
  await publish(orders, to(0, events(4)))
  await expect.poll(() => consumer.lag().then(byPartition)).toEqual([10, 0])
  expect(await lagging).toMatchObject({
    topic: orders.name,
    partition: 0,
    state: 'lagging',
    lag: 10,
    warnAt: 8,
  })
  await expect.poll(async () => gaugeOf(0, await registry.metrics())).toBe('10')

  const caughtUp = happens('consumerLagging', name)
  hold.open()
  expect(await caughtUp).toMatchObject({ partition: 0, state: 'caught-up' })
  await expect
    .poll(() => consumer.lag())
    .toMatchObject([
      { topic: orders.name, partition: 0, position: '10', lastStableOffset: '10', lag: 0 },
      { topic: orders.name, partition: 1, position: '0', lastStableOffset: '0', lag: 0 },
    ])
  await consumer.stop()
  expect(await consumer.lag()).toEqual([])
  expect(gaugeOf(0, await registry.metrics())).toBeUndefined()
})

test('what an open transaction holds back is no lag, and nobody is told of a partition that was given up', async () => {
  const orders = await createOrders(1)
  const name = randomName('billing')
  using hold = gate()
  const consumer = inbox.consume(orders, inbox.pool, {
    name,
    lag: { warnAt: 3, intervalMs: 100 },
    handle: () => hold.opened,
  })
  await consumer.start()
  const producer = new Kafka({ brokers: brokers(), logLevel: logLevel.NOTHING }).producer({
    transactionalId: randomName('producer'),
    maxInFlightRequests: 1,
    idempotent: true,
  })
  await producer.connect()
  try {
    const transaction = await producer.transaction()
    await transaction.send({
      topic: orders.name,
      messages: events(3).map(({ id, key, value }) => ({
        key,
        value: Buffer.from(json.encode({ orderId: key, value })),
        headers: {
          [envelopeHeaders.specVersion]: '1.0',
          [envelopeHeaders.id]: id,
          [envelopeHeaders.type]: 'order.placed',
          [envelopeHeaders.source]: 'orders',
        },
      })),
    })
    await happens('consumerLag', name, { count: 3 })
    expect(await consumer.lag()).toMatchObject([{ position: '0', lastStableOffset: '0', lag: 0 }])
    const lagging = happens('consumerLagging', name)
    await transaction.commit()
    // Three events and the marker behind them.
    expect(await lagging).toMatchObject({ state: 'lagging', lag: 4 })
    const moved = happens('consumerLagging', name)
    const stopped = consumer.stop()
    expect(await moved).toMatchObject({ state: 'moved' })
    hold.open()
    await stopped
  } finally {
    await producer.disconnect()
  }
})
