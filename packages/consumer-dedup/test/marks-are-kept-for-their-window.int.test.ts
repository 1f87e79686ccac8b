import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { OutboxError } from '@oncebox/core'
import { randomName } from '@internal/stack'
import type pg from 'pg'
import { v7 as uuid7 } from 'uuid'
import { expect, test } from 'vitest'
import {
  brokers,
  compare,
  createOrders,
  effects,
  eventually,
  happens,
  publish,
  type Sent,
} from './fixture.js'
import { useInbox } from './use-inbox.js'

const dayMs = 86_400_000
const inbox = useInbox({ connectionsMax: 16 })
const marks = { windowMs: 2 * dayMs, intervalMs: 100 }

/** Events that say in their ids that they happened so many days ago. */
const fromDaysAgo = (days: number, count: number, from = 0): Sent[] =>
  Array.from({ length: count }, (_, index) => ({
    id: uuid7({ msecs: Date.now() - days * dayMs }),
    key: `key-${index}`,
    value: from + index,
  }))

/** As if the schema had been there for twenty days: until then all days are one. */
async function ageSchema(pool: pg.Pool): Promise<void> {
  await pool.query(`
    do $$
    declare
      bound constant timestamptz := date_trunc('day', now(), 'UTC') - interval '480 hours';
    begin
      if (select to_at from inbox.mark_days where relation = 'marks_before') <= bound then return; end if;
      alter table inbox.marks detach partition inbox.marks_before;
      execute format('alter table inbox.marks attach partition inbox.marks_before
                      for values from (''1970-01-02 00:00:00+00'') to (%L)', bound);
      update inbox.mark_days set to_at = bound where relation = 'marks_before';
    end
    $$`)
}

interface Day {
  readonly emptied: boolean
  readonly bytes: number
}

/** The day that holds what happened so many days ago, as a consumer has it. */
async function dayOf(days: number, consumer: string): Promise<Day | undefined> {
  const { rows } = await inbox.pool.query<Day>(
    `select $2 = any(emptied_for) as emptied, pg_relation_size(('inbox.' || relation)::regclass)::int as bytes
       from inbox.mark_days
      where from_at <= now() - make_interval(days => $1) and to_at > now() - make_interval(days => $1)`,
    [days, consumer],
  )
  return rows[0]
}

const isEmptied = (days: number, consumer: string) => async (): Promise<boolean> =>
  (await dayOf(days, consumer))?.emptied === true

const effectsOf = async (consumer: string): Promise<{ readonly id: string }[]> =>
  (await effects(inbox.pool)).filter((one) => one.consumer === consumer)

/** Ids of what a consumer gave up, once each. */
async function tooOld(consumer: string): Promise<string[]> {
  const { rows } = await inbox.pool.query<{ id: string }>(
    `select event_id as id from inbox.parked
      where consumer = $1 and code = 'CONSUMER_EVENT_TOO_OLD' and state = 'dead' order by number`,
    [consumer],
  )
  return rows.map(({ id }) => id)
}

const program = fileURLToPath(new URL('../../cli/bin/oncebox.js', import.meta.url))

/** As a person asks. Warnings are no failure. */
async function doctor(): Promise<readonly { readonly message: string }[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, 'doctor', '--consumers', '--json'],
    {
      env: { ...process.env, ONCEBOX_DATABASE_URL: inbox.url, ONCEBOX_KAFKA_BROKERS: brokers().join(',') },
    },
  )
  return JSON.parse(stdout) as readonly { readonly message: string }[] // what the command prints
}

test('a day is emptied when its consumer is past it, and then none of its events runs again, whatever brings it back', async () => {
  await ageSchema(inbox.pool)
  const orders = await createOrders()
  const old = fromDaysAgo(10, 8)
  const late = fromDaysAgo(1, 4, 8)
  await publish(orders, old)
  const kept = happens('consumerMarksKept', 'first', { where: ({ emptied }) => emptied !== 0 })
  const first = inbox.consume(orders, inbox.pool, { name: 'first', marks, batch: { eventsMax: 5 } })
  await first.start()
  await eventually(async () => (await effectsOf('first')).length === 8)
  await eventually(isEmptied(10, 'first'))
  expect(await kept).toMatchObject({ heldBy: 'first', heldTopic: orders.name })
  // A table without a byte has no dead rows.
  expect(await dayOf(10, 'first')).toMatchObject({ bytes: 0 })
  expect(await isEmptied(1, 'first')()).toBe(false)

  // Late, and twice: inside the window that is one effect each, in one batch with events that are too old.
  await publish(orders, [...late, ...old, ...late])
  await eventually(async () => (await tooOld('first')).length === 8)
  await eventually(async () => (await effectsOf('first')).length === 12)
  await eventually(() => Promise.resolve(first.counts.duplicates === 4))
  expect((await tooOld('first')).toSorted()).toEqual(old.map(({ id }) => id).toSorted())
  expect(compare([...old, ...late], await effectsOf('first'))).toEqual({ lost: 0, doubled: 0 })

  // Delivered once more: a letter that somebody has dealt with stays as it is.
  await first.stop()
  await inbox.pool.query(`update inbox.parked set state = 'discarded' where consumer = 'first'`)
  await inbox.pool.query(`update inbox.positions set next = 8 where consumer = 'first'`)
  const again = inbox.consume(orders, inbox.pool, { name: 'first', marks })
  await again.start()
  await eventually(() => Promise.resolve(again.counts.duplicates === 16))
  expect(await tooOld('first')).toEqual([])

  // A consumer that is new here is handed everything, once; then the day is empty for it, too.
  const second = inbox.consume(orders, inbox.pool, { name: 'second', marks })
  await second.start()
  await eventually(async () => (await effectsOf('second')).length === 12)
  expect(await tooOld('second')).toEqual([])
  await eventually(async () => (await dayOf(10, 'second'))?.emptied === true)
  expect(await dayOf(10, 'second')).toMatchObject({ bytes: 0 })
  await publish(orders, old.slice(0, 1))
  await eventually(async () => (await tooOld('second')).length === 1)
  expect(compare([...old, ...late], await effectsOf('second'))).toEqual({ lost: 0, doubled: 0 })
})

test('what a consumer has not come to yet is kept for it, however long it is away', async () => {
  await ageSchema(inbox.pool)
  await inbox.pool.query('delete from inbox.windows; delete from inbox.positions')
  const orders = await createOrders()
  const before = fromDaysAgo(7, 3)
  await publish(orders, before)
  const name = randomName('away')
  const away = inbox.consume(orders, inbox.pool, { name, marks: { ...marks, intervalMs: 3_600_000 } })
  await away.start()
  await eventually(async () => (await effectsOf(name)).length === 3)
  await away.stop()
  // As it is when it was stopped a week ago.
  await inbox.pool.query(
    `update inbox.positions set low_at = now() - interval '7 days' where consumer = $1`,
    [name],
  )
  const missed = fromDaysAgo(6, 5, 3)
  await publish(orders, missed)

  const other = inbox.consume(orders, inbox.pool, { name: 'other', marks })
  const held = happens('consumerMarksKept', 'other', { count: 3, where: ({ heldBy }) => heldBy === name })
  await other.start()
  await held
  await eventually(isEmptied(10, name))
  for (const days of [8, 7, 6, 5]) expect(await isEmptied(days, name)()).toBe(false)

  const back = inbox.consume(orders, inbox.pool, { name, marks })
  await publish(orders, [...before, ...missed])
  await back.start()
  await eventually(() =>
    Promise.resolve(back.counts.handled + back.counts.duplicates + back.counts.deadLetters >= 13),
  )
  expect(compare([...before, ...missed], await effectsOf(name))).toEqual({ lost: 0, doubled: 0 })
  expect(await tooOld(name)).toEqual([])
  await eventually(isEmptied(5, name))

  // What topics keep for longer than it is remembered is told, and who holds the others up.
  await other.stop()
  await inbox.pool.query(
    `update inbox.positions set low_at = now() - interval '3 days' where consumer = 'other'`,
  )
  const findings = await doctor()
  expect(findings).toContainEqual(
    expect.objectContaining({
      check: 'inbox.window',
      level: 'warning',
      message: `consumer ${name} remembers events for 2 days, and topic ${orders.name} keeps them for up to 14 days: what is delivered again after that is a dead letter, not a duplicate`,
    }),
  )
  expect(findings).toContainEqual(
    expect.objectContaining({
      check: 'inbox.held',
      level: 'warning',
      message: `consumer other, topic ${orders.name} is 3 days behind: marks of every consumer are kept since then`,
    }),
  )
  expect(findings).toContainEqual(
    expect.objectContaining({
      check: 'inbox.held',
      level: 'ok',
      message: `consumer ${name}, topic ${orders.name}: marks are emptied behind it`,
    }),
  )
})

test('housekeeping waits for nobody, nobody waits for it, and it is done once', async () => {
  await inbox.pool.query('delete from inbox.windows; delete from inbox.positions')
  await ageSchema(inbox.pool)
  const { pool } = inbox
  await pool.query('insert into inbox.life default values on conflict do nothing')
  const token = (await pool.query<{ token: string }>('select token from inbox.life')).rows[0]?.token
  await pool.query('select inbox.keep_marks()') // makes days
  await pool.query(`insert into inbox.windows (consumer, window_ms) values ('solo', 86400000)`)
  await pool.query(`
    insert into inbox.positions (consumer, topic_id, partition, topic, next, in_hand, low_at)
    values ('solo', gen_random_uuid(), 0, 'orders', 0, 0, now())`)
  const mark = (client: pg.ClientBase, days: number): Promise<pg.QueryResult> =>
    client.query('select inserted from inbox.mark($1, $2, $3, $4, $5)', [
      token,
      'solo',
      'orders',
      uuid7(),
      new Date(Date.now() - days * dayMs),
    ])
  const [writer, late, keeper] = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
  try {
    for (const client of [writer, late]) await client.query('begin')
    await mark(writer, 0)
    await mark(late, 12)
    await keeper.query(`begin; set local statement_timeout = '5s'`)
    const kept = await keeper.query<{ emptied: number }>('select * from inbox.keep_marks()')
    expect(kept.rows[0]?.emptied).toBeGreaterThan(0)
    expect(await isEmptied(12, 'solo')()).toBe(false)
    // Its transaction is still open.
    await writer.query(`set local lock_timeout = '50ms'`)
    expect((await mark(writer, 0)).rows).toEqual([{ inserted: 1 }])
    expect((await mark(writer, -1)).rows).toEqual([{ inserted: 1 }])
    // Somebody else at the same time: not now.
    expect((await late.query('select oldest from inbox.keep_marks()')).rows).toEqual([{ oldest: null }])
    await keeper.query('commit')
    await late.query('commit')
    await writer.query('commit')
  } finally {
    for (const client of [writer, late, keeper]) client.release(true)
  }
  const calls = await Promise.all(
    Array.from({ length: 10 }, () =>
      pool
        .query<{ emptied: number }>('select * from inbox.keep_marks()')
        .catch((error: OutboxError) => error.message),
    ),
  )
  const emptied = calls.map((one) => (typeof one === 'string' ? one : one.rows[0]?.emptied))
  expect(emptied.filter((count) => count === 1)).toHaveLength(1)
  expect(emptied.filter((count) => count === 0)).toHaveLength(9)
  expect(await dayOf(12, 'solo')).toMatchObject({ emptied: true, bytes: 0 })
  await expect(mark(pool as unknown as pg.ClientBase, 12)).rejects.toThrow(/marks_emptied/)
  // Marks of somebody who has not said for how long they are to be kept: nothing is emptied any more.
  await pool.query('select inbox.mark($1, $2, $3, $4, $5)', [
    token,
    'stranger',
    'orders',
    uuid7(),
    new Date(Date.now() - 12 * dayMs),
  ])
  await pool.query(`update inbox.mark_days set emptied_for = '{}'`)
  await pool.query('select inbox.keep_marks()')
  expect(await dayOf(12, 'solo')).toMatchObject({ emptied: false })
  const { rows: horizons } = await pool.query('select horizon, held_by from inbox.keep_marks()')
  expect(horizons).toEqual([{ horizon: null, held_by: 'stranger' }])
  // The days to come are there before their events are.
  const { rows } = await pool.query(`select count(*)::int as days from inbox.mark_days where to_at > now()`)
  expect(rows).toEqual([{ days: 3 }])
})
