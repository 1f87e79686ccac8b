import { createConsumer, parkKey, PermanentError, type ParkKeyOptions } from '@oncebox/consumer-dedup'
import { databaseModes, type ConsumerProcess } from '@internal/contracts/consumers'
import { randomName, type TestDatabase } from '@internal/stack'
import type { FaultPoint } from '@oncebox/core'
import type pg from 'pg'
import { describe, expect, test } from 'vitest'
import { Bed } from './contract/bed.js'
import {
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  eventually,
  happens,
  inOrder,
  publish,
  type Sent,
} from './fixture.js'
import { effectConsumer, openPool } from './positions.js'

const once = { attemptsMax: 1, backoff: { minMs: 1, maxMs: 1 } }
const oneByOne = { batch: { eventsMax: 1 } }
const parking: ParkKeyOptions = { delaysMs: [20, 40, 60], attemptsMax: 100, inPlace: once }

async function openDatabase(): Promise<{ database: TestDatabase; pool: pg.Pool } & AsyncDisposable> {
  const database = await createInboxDatabase()
  const pool = openPool(database.url)
  return {
    database,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end()
      await database.drop()
    },
  }
}

/** Values of what waits, in the order in which it will run. */
async function waiting(pool: Pick<pg.Pool, 'query'>): Promise<number[]> {
  const { rows } = await pool.query<{ value: number }>(
    `select (convert_from(payload, 'UTF8')::jsonb ->> 'value')::int as value
       from inbox.parked where state in ('parked', 'retrying') order by number`,
  )
  return rows.map(({ value }) => value)
}

/** No key is left behind, and no event in the queue of a key. */
async function nothingWaits(pool: Pick<pg.Pool, 'query'>): Promise<boolean> {
  const { rows } = await pool.query<{ keys: number }>('select count(*)::int as keys from inbox.parked_keys')
  return rows[0]?.keys === 0 && (await waiting(pool)).length === 0
}

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
    const consumer = effectConsumer(orders, pool, {
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
    const consumer = effectConsumer(orders, pool, {
      retry: parkKey({ delaysMs: [10, 20], inPlace: { ...once, attemptsMax: 2 } }),
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
    const consumer = effectConsumer(orders, pool, {
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

/** They end in good order. */
async function end(members: readonly ConsumerProcess[]): Promise<void> {
  for (const member of members) {
    await member.started
    member.kill('SIGTERM')
    expect(await member.ended).toBe(null)
  }
}

const points: readonly FaultPoint[] = [
  'consumer.parked',
  'consumer.drain.claimed',
  'consumer.drain.ended',
  'consumer.drain.failed',
  'consumer.commit.sent',
]

describe.each(databaseModes)('in mode $name', (mode) => {
  test.concurrent(
    'killed while it parks and while it drains, nothing is lost, doubled or out of order',
    { timeout: 180_000 },
    async () => {
      await using bed = await Bed.open(mode)
      const sent = events(30 * points.length, { keys: 6 })
      const conduct = (turn: number) => ({
        batches: turn % 2 === 1,
        parking: { ...parking, inPlace: { ...once, killsMax: 100 } },
        failing: Object.fromEntries(
          sent.filter(({ value }) => value % 7 === 3).map(({ value }) => [value, 2]),
        ),
      })
      for (const [turn, point] of points.entries()) {
        await bed.publish(sent.slice(30 * turn, 30 * (turn + 1)))
        // The first that is parked has failed, those after it may have come behind it.
        const hit = point === 'consumer.parked' ? 1 : 2
        expect(await bed.start(conduct(turn), `${point}@${hit}:kill`).ended).toBe('SIGKILL')
      }
      const last = bed.start(conduct(0))
      await bed.untilDone(sent)
      await eventually(() => nothingWaits(bed.pool))
      await end([last])
      const found = await bed.effects()
      expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
      expect(inOrder(found)).toBe(true)
      expect(await bed.deadLetters()).toEqual([])
    },
  )

  test.concurrent(
    'two members park and drain while events of the same keys arrive: each key in its order',
    { timeout: 180_000 },
    async () => {
      await using bed = await Bed.open(mode, 4)
      const sent = events(200, { keys: 8 })
      const conduct = {
        group: bed.name,
        parking: { ...parking, delaysMs: [1, 5] },
        failing: Object.fromEntries(
          sent.filter(({ value }) => value % 9 === 4).map(({ value }) => [value, 2]),
        ),
      }
      const members = [bed.start(conduct), bed.start(conduct)]
      for (let at = 0; at < sent.length; at += 40) await bed.publish(sent.slice(at, at + 40))
      await bed.untilDone(sent)
      await eventually(() => nothingWaits(bed.pool))
      await end(members)
      const found = await bed.effects()
      expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
      expect(inOrder(found)).toBe(true)
    },
  )

  test.concurrent(
    'an event that arrives while the last one of its queue ends does not stay behind',
    { timeout: 120_000 },
    async () => {
      await using bed = await Bed.open(mode, 1)
      const [first, second, ...rest] = events(5, { keys: 1 })
      if (first === undefined || second === undefined) throw new Error('five events')
      await bed.publish([first])
      // Its effect is there and its queue is empty, but not committed; it stands still for less than its lease.
      const draining = bed.start(
        { parking, failing: { 0: 1 }, options: { sessionTimeoutMs: 20_000, ...oneByOne } },
        'consumer.drain.ended:stop',
      )
      await eventually(
        async () =>
          (
            await bed.pool.query(`select from pg_stat_activity where datname = current_database()
             and state = 'idle in transaction' and query like '%inbox.parked_keys%'`)
          ).rowCount === 1,
      )
      await bed.publish([second])
      const live = bed.start({ parking, options: { sessionTimeoutMs: 20_000, ...oneByOne } })
      const isParked = async (): Promise<boolean> => (await waiting(bed.pool)).length > 1
      const isBlocked = isWaiting(bed.pool)
      await eventually(async () => (await isBlocked()) || (await isParked()))
      draining.kill('SIGCONT')
      await bed.publish(rest)
      await bed.untilDone([first, second, ...rest])
      await eventually(() => nothingWaits(bed.pool))
      await end([draining, live])
      const found = await bed.effects()
      expect(found.map(({ value }) => value)).toEqual([0, 1, 2, 3, 4])
    },
  )

  test.concurrent.each([{ nextParks: true }, { nextParks: false }])(
    'what somebody parked who had lost the partition already is not overtaken (the next one parks: $nextParks)',
    { timeout: 120_000 },
    async ({ nextParks }) => {
      await using bed = await Bed.open(mode, 1)
      const sent = events(6, { keys: 1 })
      const zombie = bed.start(
        {
          parking: { ...parking, delaysMs: [3_000] },
          failing: { 0: 1 },
          options: { sessionTimeoutMs: 20_000, ...oneByOne },
        },
        'consumer.parked:stop',
      )
      await bed.publish(sent.slice(0, 3))
      const idle = async (): Promise<boolean> =>
        (
          await bed.pool.query(`select from pg_stat_activity where datname = current_database()
           and state = 'idle in transaction' and query like '%inbox.parked%'`)
        ).rowCount === 1
      await eventually(idle)
      const next = bed.start({
        ...(nextParks ? { parking } : {}),
        options: { sessionTimeoutMs: 20_000, ...oneByOne },
      })
      await eventually(isWaiting(bed.pool))
      zombie.kill('SIGCONT')
      await bed.publish(sent.slice(3))
      await bed.untilDone(sent)
      await eventually(() => nothingWaits(bed.pool))
      await end([zombie, next])
      expect((await bed.effects()).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5])
    },
  )

  test.concurrent(
    'a process that stands still while it drains loses its lease, and changes nothing when it wakes up',
    { timeout: 120_000 },
    async () => {
      await using bed = await Bed.open(mode, 1)
      const sent = events(6, { keys: 1 })
      await bed.publish(sent.slice(0, 3))
      const zombie = bed.start({ parking, failing: { 0: 1 }, options: oneByOne }, 'consumer.drain.ended:stop')
      await eventually(async () => (await waiting(bed.pool)).length >= 1)
      const next = bed.start({ parking })
      await bed.publish(sent.slice(3))
      await bed.untilDone(sent)
      zombie.kill('SIGCONT')
      await eventually(() => nothingWaits(bed.pool))
      await end([zombie, next])
      expect((await bed.effects()).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4, 5])
    },
  )

  test.concurrent(
    'an event that kills whoever runs it from its queue becomes a dead letter, and its key goes on',
    { timeout: 120_000 },
    async () => {
      await using bed = await Bed.open(mode, 1)
      const sent = events(6, { keys: 2 })
      await bed.publish(sent)
      const conduct = {
        parking: { ...parking, inPlace: { ...once, killsMax: 2 } },
        options: oneByOne,
        failing: { 2: 1 },
        killInQueueAtValue: 2,
      }
      const rest = sent.filter(({ value }) => value !== 2)
      for (const _kill of [1, 2]) expect(await bed.start(conduct).ended).toBe('SIGKILL')
      const last = bed.start(conduct)
      await bed.untilDone(rest)
      await eventually(() => nothingWaits(bed.pool))
      await end([last])
      expect(compare(rest, await bed.effects())).toEqual({ lost: 0, doubled: 0 })
      const letters = await bed.pool.query('select code, kills, attempts from inbox.parked')
      expect(letters.rows).toEqual([{ code: 'CONSUMER_HANDLER_KILLED', kills: 2, attempts: 1 }])
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
