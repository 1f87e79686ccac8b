import { createConsumer, parkKey, PermanentError } from '@oncebox/consumer-dedup'
import { databaseModes } from '@internal/contracts/consumers'
import { randomName, type TestDatabase } from '@internal/stack'
import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import {
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  eventually,
  happens,
  holdAt,
  inOrder,
  publish,
  type Sent,
} from './fixture.js'
import { inPlaceOnce, nothingWaits, oneByOne, parking, waiting } from './parked.js'
import { effectConsumer, openPool, type Orders, type OrdersConsumer } from './positions.js'

/** A database, and consumers that are stopped with it. */
class Opened implements AsyncDisposable {
  readonly pool: pg.Pool
  readonly #database: TestDatabase
  readonly #consumers: OrdersConsumer[] = []

  constructor(database: TestDatabase) {
    this.#database = database
    this.pool = openPool(database.url, 12)
  }

  consume(orders: Orders, options: Parameters<typeof effectConsumer>[2]): OrdersConsumer {
    const consumer = effectConsumer(orders, this.pool, options)
    this.#consumers.push(consumer)
    return consumer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop({ timeoutMs: 1_000 })))
    await this.pool.end()
    await this.#database.drop()
  }
}

const openDatabase = async (): Promise<Opened> => new Opened(await createInboxDatabase())

const isWaiting = (pool: Pick<pg.Pool, 'query'>) => async (): Promise<boolean> =>
  (
    await pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
  ).rowCount !== 0

describe.each([
  { mode: 'inbox', batch: 1 },
  { mode: 'inbox', batch: 8 },
  { mode: 'position', batch: 8 },
] as const)('in mode $mode, $batch at a time', ({ mode, batch }) => {
  test.concurrent('later events of a key wait behind the one that failed, other keys go on', async () => {
    await using opened = await openDatabase()
    const { pool } = opened
    const orders = await createOrders()
    const sent = events(30, { keys: 3 })
    await publish(orders, sent)
    let isBroken = true
    const consumer = opened.consume(orders, {
      mode,
      batch: { eventsMax: batch },
      retry: parkKey(parking),
      handle: (value) => (isBroken && value === 6 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
    })
    await consumer.start()
    const others = sent.filter(({ key, value }) => key !== 'key-0' || value < 6)
    await eventually(async () => compare(others, await effects(pool)).lost === 0)
    await eventually(async () => (await waiting(pool)).length === 8)
    expect(await waiting(pool)).toEqual([6, 9, 12, 15, 18, 21, 24, 27])
    expect(await effects(pool)).toHaveLength(others.length)
    const more = events(4, { keys: 1, from: 30 })
    await publish(orders, more)
    await eventually(async () => (await waiting(pool)).length === 12)
    isBroken = false
    await eventually(() => nothingWaits(pool))
    await consumer.stop()
    const found = await effects(pool)
    expect(compare([...sent, ...more], found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found)).toBe(true)
    expect(consumer.counts).toMatchObject({ parked: 12, unparked: 12, handled: 22, deadLetters: 0 })
    expect((await pool.query('select from inbox.parked')).rowCount).toBe(0)
    expect((await pool.query('select from inbox.attempts')).rowCount).toBe(0)
  })
})

test.concurrent(
  'an event without a key waits alone; after the last delay it is a dead letter, and its key goes on',
  async () => {
    await using opened = await openDatabase()
    const { pool } = opened
    const orders = await createOrders()
    const sent: Sent[] = events(12, { keys: 2 }).map((one) =>
      one.value === 3 ? { ...one, isKeyless: true } : one,
    )
    await publish(orders, sent)
    let keylessFails = true
    const attempts: number[] = []
    const consumer = opened.consume(orders, {
      retry: parkKey({ delaysMs: [10, 20], inPlace: { ...inPlaceOnce, attemptsMax: 2 } }),
      handle: (value) => {
        if (value === 4) attempts.push(value)
        if (value === 5) return Promise.reject(new PermanentError('never'))
        return value === 4 || (value === 3 && keylessFails)
          ? Promise.reject(new Error('fails'))
          : Promise.resolve()
      },
    })
    const dead = happens('consumerDeadLettered', consumer.name, { where: ({ id }) => id === sent[4]?.id })
    await consumer.start()
    await eventually(async () => (await effects(pool)).some(({ value }) => value === 11))
    await dead
    keylessFails = false
    const rest = sent.filter(({ value }) => value !== 4 && value !== 5)
    const { rows } = await pool.query<{ value: number }>(`select count(*)::int as value from inbox.parked`)
    expect(rows[0]?.value).toBeGreaterThanOrEqual(2)
    await eventually(() => nothingWaits(pool))
    await consumer.stop()
    const found = await effects(pool)
    const deadKeyless = (await pool.query(`select from inbox.parked where key is null`)).rowCount === 1
    const due = deadKeyless ? rest.filter(({ isKeyless }) => isKeyless !== true) : rest
    expect(compare(due, found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found.filter(({ value }) => value !== 3))).toBe(true)
    expect(attempts).toHaveLength(4) // twice in its turn, twice from the queue
    const letters = await pool.query(
      `select event_id, attempts, code from inbox.parked where key is not null order by "offset"`,
    )
    expect(letters.rows).toEqual([
      { event_id: sent[4]?.id, attempts: 4, code: 'CONSUMER_HANDLER_FAILED' },
      { event_id: sent[5]?.id, attempts: 1, code: 'CONSUMER_PERMANENT' },
    ])
  },
)

test.concurrent(
  'where too much waits the partition stops, says so, and goes on when there is room',
  async () => {
    await using opened = await openDatabase()
    const { pool } = opened
    const orders = await createOrders()
    const sent = events(40, { keys: 20 })
    await publish(orders, sent)
    let isBroken = true
    const consumer = opened.consume(orders, {
      retry: parkKey({ ...parking, keysMax: 3, eventsMax: 5 }),
      handle: () => (isBroken ? Promise.reject(new Error('not yet')) : Promise.resolve()),
    })
    const full = happens('consumerRepositioning', consumer.name, {
      where: ({ error }) => (error as { code?: string }).code === 'CONSUMER_PARKING_FULL', // what report.ts publishes
    })
    const told = happens('consumerParking', consumer.name, { where: ({ isFull }) => isFull === true })
    await consumer.start()
    await full
    await told
    expect((await waiting(pool)).length).toBeLessThanOrEqual(5)
    isBroken = false
    await eventually(async () => compare(sent, await effects(pool)).lost === 0)
    await eventually(() => nothingWaits(pool))
    await consumer.stop()
    const found = await effects(pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(inOrder(found)).toBe(true)
  },
)

/** Throws as often as it says. */
function failsLess(fails: Map<number, number>, value: number): Promise<void> {
  const times = fails.get(value) ?? 0
  fails.set(value, times - 1)
  return times > 0 ? Promise.reject(new Error(`value ${value} fails`)) : Promise.resolve()
}

describe.each(databaseModes)('in mode $name', (mode) => {
  const inMode = mode.mode === 'position' ? 'position' : 'inbox'

  test.concurrent(
    'two members park and drain while events of the same keys arrive: each key in its order',
    async () => {
      await using opened = await openDatabase()
      const { pool } = opened
      const orders = await createOrders(4)
      const sent = events(200, { keys: 8 })
      const fails = new Map(sent.filter(({ value }) => value % 9 === 4).map(({ value }) => [value, 2]))
      const name = randomName('billing')
      const members = [1, 2].map(() =>
        opened.consume(orders, {
          mode: inMode,
          name,
          group: name,
          ...oneByOne,
          retry: parkKey({ ...parking, delaysMs: [1, 5] }),
          handle: (value) => failsLess(fails, value),
        }),
      )
      await Promise.all(members.map((member) => member.start()))
      for (let at = 0; at < sent.length; at += 40) await publish(orders, sent.slice(at, at + 40))
      await eventually(async () => compare(sent, await effects(pool)).lost === 0)
      await eventually(() => nothingWaits(pool))
      await Promise.all(members.map((member) => member.stop()))
      const found = await effects(pool)
      expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
      expect(inOrder(found)).toBe(true)
      for (const { counts } of members) expect(counts.handled).toBeGreaterThan(0)
    },
  )

  test.concurrent(
    'an event that arrives while the last one of its queue ends does not stay behind',
    async () => {
      await using opened = await openDatabase()
      const { pool } = opened
      const orders = await createOrders()
      const sent = events(5, { keys: 1 })
      const fails = new Map([[0, 1]])
      // Its effect is there and its queue is empty, but not committed.
      using draining = holdAt('consumer.drain.ended')
      const consumer = opened.consume(orders, {
        mode: inMode,
        ...oneByOne,
        retry: parkKey(parking),
        handle: (value) => failsLess(fails, value),
      })
      await draining.run(() => consumer.start())
      await publish(orders, sent.slice(0, 1))
      await draining.reached
      await publish(orders, sent.slice(1, 2))
      await eventually(async () => (await isWaiting(pool)()) || (await waiting(pool)).length > 1)
      draining.open()
      await publish(orders, sent.slice(2))
      await eventually(async () => compare(sent, await effects(pool)).lost === 0)
      await eventually(() => nothingWaits(pool))
      await consumer.stop()
      expect((await effects(pool)).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4])
    },
  )

  test.concurrent.each([{ nextParks: true }, { nextParks: false }])(
    'what somebody parked who had lost the partition already is not overtaken (the next one parks: $nextParks)',
    async ({ nextParks }) => {
      await using opened = await openDatabase()
      const { pool } = opened
      const orders = await createOrders()
      const sent = events(6, { keys: 1 })
      const fails = new Map([[0, 1]])
      const name = randomName('billing')
      using parks = holdAt('consumer.parked')
      const zombie = opened.consume(orders, {
        mode: inMode,
        name,
        ...oneByOne,
        retry: parkKey({ ...parking, delaysMs: [1_000] }),
        handle: (value) => failsLess(fails, value),
      })
      await publish(orders, sent.slice(0, 3))
      await parks.run(() => zombie.start())
      await parks.reached
      const next = opened.consume(orders, {
        mode: inMode,
        name,
        ...oneByOne,
        ...(nextParks ? { retry: parkKey(parking) } : {}),
      })
      await next.start()
      await eventually(isWaiting(pool))
      parks.open()
      await publish(orders, sent.slice(3))
      await eventually(async () => compare(sent, await effects(pool)).lost === 0)
      await eventually(() => nothingWaits(pool))
      await Promise.all([zombie.stop(), next.stop()])
      expect((await effects(pool)).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5])
    },
  )
})

test('parkKey needs a database', async () => {
  const orders = await createOrders()
  expect(() =>
    createConsumer({
      mode: 'at-least-once',
      group: randomName('group'),
      topics: [orders],
      kafka: { brokers: ['localhost:9092'] },
      // @ts-expect-error its events would have nowhere to wait
      retry: parkKey({ delaysMs: [1] }),
    }),
  ).toThrow(expect.objectContaining({ code: 'CONSUMER_OPTIONS_INVALID' }) as Error)
})
