import { modesUnderTest } from '@internal/contracts/consumers'
import { randomName, type TestDatabase } from '@internal/stack'
import { createConsumer, parkKey, type KafkaOptions } from '@oncebox/consumer-dedup'
import { installFaultHandler } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Bed } from './contract/bed.js'
import {
  brokers,
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  gate,
  happens,
  inOrder,
  publish,
  type EffectRow,
} from './fixture.js'
import { openPool, storedPosition } from './positions.js'

let database: TestDatabase
let pool: pg.Pool
const kafka = (): KafkaOptions => ({ brokers: brokers() })

beforeAll(async () => {
  database = await createInboxDatabase()
  pool = openPool(database.url, 16)
})
/** What lets handlers return and stops consumers, also after an expectation that failed. */
const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

/** Of what was done twice, the first. */
const firsts = (found: readonly EffectRow[]): EffectRow[] =>
  [...new Map(found.toReversed().map((one) => [one.id, one])).values()].toReversed()

test.each(['inbox', 'at-least-once'] as const)(
  '%s: a key that is held up holds no other key up, so far; the position waits for it, and stop() leaves no gap behind',
  { timeout: 60_000 },
  async (mode) => {
    const orders = await createOrders()
    const name = randomName('billing')
    const common = {
      group: name,
      topics: [orders],
      kafka: kafka(),
      keysInParallel: 4,
      position: { eventsMax: 1 },
    } as const
    const done: number[] = []
    const open = gate()
    const four = gate()
    endings.push(open.open, four.open)
    let [running, most] = [0, 0]
    const consume = () => {
      const handle = async ({ payload }: { readonly payload: { readonly value: number } }): Promise<void> => {
        running += 1
        most = Math.max(most, running)
        if (running === 4) four.open()
        await four.opened
        if (payload.value === 0) await open.opened
        else await sleep(1)
        running -= 1
        done.push(payload.value)
      }
      const consumer =
        mode === 'inbox'
          ? createConsumer({ ...common, mode, db: fromPg(pool) })
          : createConsumer({ ...common, mode })
      consumer.on('order.placed', handle)
      endings.push(() => consumer.stop())
      return consumer
    }
    await publish(orders, events(100, { keys: 5 })) // values 0, 5, 10 … have the key of the one that is held
    const first = consume()
    // Thirty-two are within reach of the first, and seven of them have its key.
    const others = happens('consumerHandled', name, { count: 25 })
    await first.start()
    await others
    expect(done.filter((value) => value % 5 === 0)).toEqual([])
    expect(await first.lag()).toMatchObject([{ position: '0', lag: 100 }])
    if (mode === 'inbox') expect(await storedPosition(pool, name)).toBe('0')
    const stopped = first.stop()
    open.open()
    await stopped
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, value) => value))
    expect(most).toBe(4)

    const second = consume()
    const rest = happens('consumerHandled', name, { count: 68 })
    await second.start()
    await rest
    await second.stop()
    expect(done.length).toBe(100) // nothing twice, also where nothing guards
    for (const key of [0, 1, 2, 3, 4]) {
      const own = done.filter((value) => value % 5 === key)
      expect(own).toEqual(own.toSorted((a, b) => a - b))
    }
  },
)

test('what ends while the position is written is not handled again after a stop', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const done: number[] = []
  const second = gate()
  const consume = () => {
    const consumer = createConsumer({
      group: name,
      topics: [orders],
      kafka: kafka(),
      mode: 'at-least-once',
      keysInParallel: 2,
      position: { eventsMax: 1 },
    })
    consumer.on('order.placed', async ({ payload: { value } }) => {
      if (value === 1) await second.opened
      done.push(value)
    })
    endings.push(() => consumer.stop())
    return consumer
  }
  await publish(orders, events(3, { keys: 3 }))
  const first = consume()
  const both = happens('consumerHandled', name, { count: 2 })
  let stopped: Promise<void> | undefined
  installFaultHandler(async (point) => {
    if (point !== 'consumer.offset.due' || stopped !== undefined) return
    // The position behind the first event is on its way: the second ends, and nothing more is begun.
    stopped = first.stop()
    second.open()
    await both
    await sleep(200) // until the stop is known to the partition, which nothing tells
  })
  endings.push(() => installFaultHandler(undefined), second.open)
  await first.start()
  await both
  await stopped
  expect(done).toEqual([0, 1])

  const rest = happens('consumerHandled', name)
  await consume().start()
  await rest
  expect(done).toEqual([0, 1, 2])
})

const parallelModes = new Set(['inbox on pg', 'redis', 'at-least-once'])

describe.each(modesUnderTest.filter(({ name }) => parallelModes.has(name)))(
  'a consumer in mode $name',
  (mode) => {
    test.concurrent(
      'keeps its promise and the order of each key while events fail, and when it is killed in each of its crash windows',
      { timeout: 120_000 },
      async () => {
        await using bed = await Bed.open(mode, 1)
        const options = { keysInParallel: 6 }
        const turns = mode.points.length + 1
        const sent = events(30 * turns, { keys: 7 })
        const given = sent.filter(({ value }) => value % 30 === 4 || value % 30 === 9)
        const failing = Object.fromEntries(
          sent.map(({ value }) => [
            value,
            value % 30 === 4 ? ('permanent' as const) : value % 30 === 9 ? -1 : value % 5 === 0 ? 1 : 0,
          ]),
        )
        for (const [turn, point] of mode.points.entries()) {
          await bed.publish(sent.slice(30 * turn, 30 * (turn + 1)))
          const hit = point === 'consumer.attempt.started' ? 1 : 3 // it is reached once a batch
          expect(await bed.start({ options, failing }, `${point}@${hit}:kill`).ended).toBe('SIGKILL')
        }
        await bed.publish(sent.slice(30 * (turns - 1)))
        const last = bed.start({ options, failing })
        const rest = sent.filter((one) => !given.includes(one))
        await bed.untilDone(rest)
        await expect
          .poll(async () => new Set(await bed.deadLetters()).size, { timeout: 30_000 })
          .toBe(given.length)
        await last.started
        last.kill('SIGTERM')
        expect(await last.ended).toBe(null)
        const found = await bed.effects()
        expect(compare(rest, found).lost).toBe(0)
        if (!mode.mayDouble) expect(compare(rest, found).doubled).toBe(0)
        expect(inOrder(firsts(found))).toBe(true)
      },
    )
  },
)

test('a key whose event fails is parked while the others run, and its events keep their order', async () => {
  const orders = await createOrders()
  const name = randomName('billing')
  const sent = events(60, { keys: 6 })
  await publish(orders, sent)
  const consumer = createConsumer({
    group: name,
    topics: [orders],
    kafka: kafka(),
    mode: 'inbox',
    db: fromPg(pool),
    keysInParallel: 4,
    retry: parkKey({ delaysMs: [100], attemptsMax: 5, inPlace: { attemptsMax: 1 } }),
  })
  const failures = new Map([7, 13, 20].map((value) => [value, 2]))
  consumer.on('order.placed', async ({ id, payload: { orderId, value } }, { tx }) => {
    const left = failures.get(value) ?? 0
    failures.set(value, left - 1)
    if (left > 0) throw new Error('not yet')
    await tx.query('insert into effects (id, key, value, consumer) values ($1, $2, $3, $4)', [
      id,
      orderId,
      value,
      name,
    ])
  })
  endings.push(() => consumer.stop())
  const parked = happens('consumerParked', name)
  await consumer.start()
  await parked
  await expect.poll(() => effects(pool).then((found) => found.length), { timeout: 30_000 }).toBe(60)
  await consumer.stop()
  const found = await effects(pool)
  expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
  expect(inOrder(found)).toBe(true)
})

test('what a mode cannot keep, or would not heed, is refused: keysInParallel, retry.killsMax, batch.eventsMax', async () => {
  const orders = await createOrders()
  const common = { group: 'billing', topics: [orders], kafka: kafka(), keysInParallel: 2 } as const
  const db = fromPg(pool)
  const refused = (why: string) =>
    expect.objectContaining({
      code: 'CONSUMER_OPTIONS_INVALID',
      message: expect.stringContaining(why) as string,
    })
  expect(() => createConsumer({ ...common, mode: 'position', db })).toThrow(refused('the position moves'))
  expect(() => createConsumer({ ...common, mode: 'kafka', outputs: [], source: 'x' })).toThrow(
    refused('the offset moves'),
  )
  expect(() => createConsumer({ ...common, mode: 'at-most-once' })).toThrow(refused('before the events'))
  expect(() => createConsumer({ ...common, mode: 'inbox', db, batch: { eventsMax: 2 } })).toThrow(
    refused('batch.eventsMax'),
  )
  expect(() => createConsumer({ ...common, mode: 'inbox', db, keysInParallel: 257 })).toThrow(
    refused('from 1 to 256'),
  )
  const rest = { group: 'billing', topics: [orders], kafka: kafka() } as const
  const noKills = { retry: { killsMax: 3 } } as const
  expect(() => createConsumer({ ...rest, ...noKills, mode: 'at-least-once' })).toThrow(
    refused('retry.killsMax is not for mode at-least-once'),
  )
  expect(() => createConsumer({ ...rest, ...noKills, mode: 'kafka', outputs: [], source: 'x' })).toThrow(
    refused('retry.killsMax is not for mode kafka'),
  )
  expect(() => createConsumer({ ...rest, mode: 'at-most-once', batch: { eventsMax: 2 } })).toThrow(
    refused('batch.eventsMax is not for mode at-most-once'),
  )
  expect(() => createConsumer({ ...common, mode: 'inbox', db }).onBatch(async () => undefined)).toThrow(
    refused('onBatch()'),
  )
})
