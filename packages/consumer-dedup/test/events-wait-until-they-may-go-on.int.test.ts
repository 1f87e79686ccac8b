import { createConsumer } from '@oncebox/consumer-dedup'
import { fromPg } from '@oncebox/outbox'
import { connectKafka, readGroupOffsets } from '@oncebox/kafka'
import { randomName } from '@internal/stack'
import { afterEach, expect, test } from 'vitest'
import { brokers, createOrders, events, gate, happens, publish } from './fixture.js'
import { storedPosition } from './positions.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox()
const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

const common = (name: string) => ({ group: name, kafka: { brokers: brokers() } }) as const

test('pause() holds back the rest of a batch and what is assigned later, other partitions go on, and resume() leaves no gap', async () => {
  const orders = await createOrders(2)
  const name = randomName('billing')
  const sent = [0, 1].flatMap((partition) => events(20).map((one) => ({ ...one, partition })))
  await publish(orders, sent)
  const done: { partition: number; value: number }[] = []
  const inHand = gate()
  endings.push(inHand.open)
  const consume = () => {
    const consumer = createConsumer({
      ...common(name),
      topics: [orders],
      mode: 'inbox',
      db: fromPg(inbox.pool),
    })
    consumer.on('order.placed', async ({ payload: { value }, metadata: { partition } }) => {
      done.push({ partition, value })
      if (partition !== 0 || value !== 5) return
      consumer.pause([{ topic: orders.name, partition: 0 }])
      await inHand.opened
    })
    endings.push(() => consumer.stop())
    return consumer
  }
  const first = consume()
  const others = happens('consumerHandled', name, { count: 20, where: ({ partition }) => partition === 1 })
  const fifth = happens('consumerHandled', name, { count: 6, where: ({ partition }) => partition === 0 })
  await first.start()
  await others
  inHand.open()
  await fifth
  await expect.poll(() => storedPosition(inbox.pool, name, 0)).toBe('6')

  // Whoever has the partition next is not paused; and this one is still, with another assignment.
  const second = consume()
  second.pause()
  await second.start()
  await second.stop()
  const more = happens('consumerHandled', name, { where: ({ partition }) => partition === 1 })
  await publish(
    orders,
    events(1, { from: 20 }).map((one) => ({ ...one, partition: 1 })),
  )
  await more
  expect(done.filter(({ partition }) => partition === 0)).toHaveLength(6)

  const rest = happens('consumerHandled', name, { count: 14, where: ({ partition }) => partition === 0 })
  first.resume([{ topic: orders.name }])
  await rest
  expect(done.filter(({ partition }) => partition === 0).map(({ value }) => value)).toEqual(
    Array.from({ length: 20 }, (_, value) => value),
  )
  expect(() => first.pause([{ topic: 'invoices' }])).toThrow(/not a topic of this consumer/)
})

test('with manual acknowledgement the offset waits for the first event that is not acknowledged, which comes again', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  await publish(orders, events(12))
  const client = await connectKafka({ brokers: brokers() })
  endings.push(() => client.close())
  const offset = async () => String((await readGroupOffsets(client, { groupId: name }))[0]?.offset)
  const consume = (begun: Map<number, () => void>) => {
    const consumer = createConsumer({
      ...common(name),
      topics: [orders],
      mode: 'at-least-once',
      ack: 'manual',
      unacknowledgedMax: 4,
    })
    consumer.on('order.placed', ({ payload: { value } }, { ack }) => {
      begun.set(value, ack)
      return Promise.resolve()
    })
    endings.push(() => consumer.stop())
    return consumer
  }
  const begun = new Map<number, () => void>()
  const consumer = consume(begun)
  await consumer.start()
  await expect.poll(() => begun.size).toBe(4) // no more are handed out
  begun.get(1)?.()
  begun.get(0)?.()
  begun.get(3)?.()
  await expect.poll(offset).toBe('2')
  await expect.poll(() => begun.size).toBe(7)
  begun.get(2)?.()
  await expect.poll(offset).toBe('4')
  begun.get(5)?.()
  await expect.poll(() => begun.size).toBe(9)
  await consumer.stop() // though it waits for room
  begun.get(4)?.() // too late
  expect(await offset()).toBe('4')

  const again = new Map<number, () => void>()
  const next = consume(again)
  await next.start()
  await expect.poll(() => [...again.keys()]).toEqual([4, 5, 6, 7])
})

test('given partitions are read without a group: these, no others, and from where they stood', async () => {
  for (const mode of ['inbox', 'at-least-once'] as const) {
    const orders = await createOrders(3)
    const name = randomName('billing')
    const sent = [0, 1, 2].flatMap((partition) => events(5).map((one) => ({ ...one, partition })))
    await publish(orders, sent)
    const found: number[] = []
    const consume = () => {
      const options = {
        ...common(name),
        topics: [orders],
        assign: [0, 2].map((partition) => ({ topic: orders.name, partition })),
      }
      const consumer =
        mode === 'inbox'
          ? createConsumer({ ...options, mode, db: fromPg(inbox.pool) })
          : createConsumer({ ...options, mode })
      consumer.on('order.placed', ({ metadata }) => Promise.resolve(found.push(metadata.partition)))
      endings.push(() => consumer.stop())
      return consumer
    }
    const first = consume()
    const all = happens('consumerHandled', first.name, { count: 10 })
    await first.start()
    await all
    await first.stop()
    expect(found.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 0, 0, 2, 2, 2, 2, 2])

    const second = consume()
    const one = happens('consumerHandled', second.name)
    await second.start()
    await publish(
      orders,
      events(1, { from: 5 }).map((later) => ({ ...later, partition: 2 })),
    )
    await one
    await second.stop()
    expect(found).toHaveLength(11)
  }
})

test.each(['inbox', 'at-least-once'] as const)(
  '%s: a given partition begins at a given offset, until it has a position; one that its log has not is refused and leaves nothing behind',
  async (mode) => {
    const orders = await createOrders()
    const name = randomName('billing')
    await publish(orders, events(6))
    const found: number[] = []
    const consume = (offset: string) => {
      const options = {
        ...common(name),
        topics: [orders],
        assign: [{ topic: orders.name, partition: 0, offset }],
      }
      const consumer =
        mode === 'inbox'
          ? createConsumer({ ...options, mode, db: fromPg(inbox.pool) })
          : createConsumer({ ...options, mode })
      consumer.on('order.placed', ({ payload }) => Promise.resolve(found.push(payload.value)))
      endings.push(() => consumer.stop())
      return consumer
    }
    // It is patient for ten seconds: the end of a log may lag behind.
    if (mode === 'inbox')
      await expect(consume('7').start()).rejects.toMatchObject({ code: 'CONSUMER_POSITION_OUT_OF_RANGE' })
    const first = consume('4')
    const two = happens('consumerHandled', name, { count: 2 })
    await first.start()
    await two
    await first.stop()
    const second = consume('0')
    const one = happens('consumerHandled', name)
    await second.start()
    await publish(orders, events(1, { from: 6 }))
    await one
    await second.stop()
    expect(found).toEqual([4, 5, 6])
  },
)
