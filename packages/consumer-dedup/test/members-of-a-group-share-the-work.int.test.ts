import { createTopic, randomName } from '@internal/stack'
import { topicsMatching } from '@oncebox/consumer-dedup'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { compare, createOrders, defineOrders, effects, events, happens, inOrder, publish } from './fixture.js'
import { openPool } from './positions.js'
import { useInbox } from './use-inbox.js'

const inbox = useInbox({ connectionsMax: 16 })

test(
  'members come and go, each effect happens once and the order of each key is kept',
  { timeout: 120_000 },
  async () => {
    const orders = await createOrders(6)
    const [name, group] = [randomName('billing'), randomName('group')]
    const sent = events(600, { keys: 40 })
    const slow = () => sleep(5)
    const first = inbox.consume(orders, inbox.pool, { name, group, handle: slow })
    await first.start()
    await publish(orders, sent.slice(0, 300))
    const second = inbox.consume(orders, inbox.pool, { name, group, handle: slow })
    await second.start()
    await publish(orders, sent.slice(300))
    await happens('consumerHandled', name, { count: 50 })
    await first.stop()
    await expect
      .poll(() => effects(inbox.pool).then((found) => found.length), { timeout: 60_000, interval: 50 })
      .toBe(600)
    await second.stop()

    const found = await effects(inbox.pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found)).toBe(true)
    expect(first.counts.handled).toBeGreaterThan(0)
    expect(second.counts.handled).toBeGreaterThan(0)
  },
)

test('a handler that takes longer than the session keeps its membership', { timeout: 60_000 }, async () => {
  const orders = await createOrders()
  // 6 s is the shortest session that a broker allows by default.
  const consumer = inbox.consume(orders, inbox.pool, {
    sessionTimeoutMs: 6_000,
    heartbeatIntervalMs: 500,
    handle: () => sleep(8_000),
  })
  const assignments = happens('consumerAssigned', consumer.name, { count: 2, timeoutMs: 12_000 }).then(
    () => 'again',
    () => 'once',
  )
  await consumer.start()
  const handled = happens('consumerHandled', consumer.name)
  await publish(orders, events(1))
  await handled

  expect(await assignments).toBe('once')
  expect(consumer.counts).toMatchObject({ handled: 1, duplicates: 0, retries: 0 })
})

test('stop() finishes the event in hand and begins no other', async () => {
  const orders = await createOrders()
  let begun: (value: unknown) => void = () => undefined
  const first = new Promise((resolve) => (begun = resolve))
  const consumer = inbox.consume(orders, inbox.pool, {
    handle: async () => {
      begun(undefined)
      await sleep(300)
    },
  })
  await consumer.start()
  await publish(orders, events(5))
  await first
  await consumer.stop()

  expect(await effects(inbox.pool)).toHaveLength(1)
  expect(consumer.counts.handled).toBe(1)
})

test('a handler that is asked to give up when stop() runs out of time is rolled back, and its event comes again', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const sent = events(1)
  let begun: (value: unknown) => void = () => undefined
  const first = new Promise((resolve) => (begun = resolve))
  const reasons: unknown[] = []
  const patient = inbox.consume(orders, inbox.pool, {
    name,
    handle: async (_value, signal) => {
      begun(undefined)
      await sleep(60_000, undefined, { signal }).catch(() => reasons.push(signal.reason))
      throw new Error('given up')
    },
  })
  await patient.start()
  await publish(orders, sent)
  await first
  await patient.stop({ timeoutMs: 100 })
  expect(reasons).toMatchObject([{ code: 'CONSUMER_STOP_TIMEOUT' }])
  expect(await effects(inbox.pool)).toEqual([])
  expect(patient.counts.retries).toBe(0)

  const next = inbox.consume(orders, inbox.pool, { name })
  const handled = happens('consumerHandled', name)
  await next.start()
  expect(await handled).toMatchObject({ attempt: 1 })
  expect(compare(sent, await effects(inbox.pool))).toEqual({ lost: 0, doubled: 0 })
})

test('a handler that ignores its signal cannot commit after stop()', { timeout: 60_000 }, async () => {
  const orders = await createOrders()
  let begun: (value: unknown) => void = () => undefined
  let finish: (value: unknown) => void = () => undefined
  const first = new Promise((resolve) => (begun = resolve))
  const finished = new Promise((resolve) => (finish = resolve))
  const own = openPool(inbox.url)
  const consumer = inbox.consume(orders, own, {
    handle: async () => {
      begun(undefined)
      await finished
    },
  })
  await consumer.start()
  await publish(orders, events(1))
  await first
  await consumer.stop({ timeoutMs: 50 })
  expect(consumer.state).toBe('stopped')
  finish(undefined)
  await own.end()

  expect(await effects(inbox.pool)).toEqual([])
})

test('topics are consumed whose names match a pattern, also those that come later, and no others', async () => {
  const name = randomName('billing')
  const create = (topic: string) => createTopic(topic, { partitions: 2 })
  const [first, other] = await Promise.all([create(`${name}.de`), create(`not.${name}.de`)])
  // createTopic adds to the name what makes it unique.
  const consumer = inbox.consume(
    topicsMatching(new RegExp(`^${name}\\.`), defineOrders('orders')),
    inbox.pool,
    { name },
  )
  await publish({ name: first }, events(4))
  await publish({ name: other }, events(4))
  const four = happens('consumerHandled', name, { count: 4 })
  await consumer.start()
  await four
  const assigned = happens('consumerAssigned', name)
  const later = await create(`${name}.fr`)
  await publish({ name: later }, events(4))
  const more = happens('consumerHandled', name, { count: 4 })
  await assigned
  await more
  expect(await effects(inbox.pool)).toHaveLength(8)
  expect((await consumer.lag()).map(({ topic }) => topic).toSorted()).toEqual([first, first, later, later])
})
