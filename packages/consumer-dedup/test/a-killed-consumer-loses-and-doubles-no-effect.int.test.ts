import { randomName, type TestDatabase } from '@internal/stack'
import type { FaultPoint } from '@oncebox/core'
import pg from 'pg'
import { expect, test } from 'vitest'
import { startInboxProcess } from './inbox-process.js'
import {
  brokers,
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  eventually,
  inOrder,
  publish,
} from './fixture.js'

// A database per test: the tests wait for processes most of the time, so they run side by side.
async function openDatabase(): Promise<{ database: TestDatabase; pool: pg.Pool } & AsyncDisposable> {
  const database = await createInboxDatabase()
  const pool = new pg.Pool({ connectionString: database.url, max: 2 })
  return {
    database,
    pool,
    async [Symbol.asyncDispose]() {
      await pool.end()
      await database.drop()
    },
  }
}

const killsOf: readonly (readonly [FaultPoint, number])[] = [
  ['consumer.effect.done', 6],
  ['consumer.commit.sent', 6],
  ['consumer.commit.acked', 2],
  ['consumer.mark.inserted', 2],
  ['consumer.attempt.started', 2],
  ['consumer.position.written', 2],
  ['consumer.offset.committed', 2],
]

test.concurrent.each(killsOf)(
  'killed at %s, %i times: every effect is there once, in order',
  { timeout: 240_000 },
  async (point, kills) => {
    await using opened = await openDatabase()
    const { database, pool } = opened
    const orders = await createOrders()
    const name = randomName('billing')
    // A member that was killed keeps its group waiting for its session to time out; another group does not wait, and
    // the name, which marks and positions belong to, stays.
    const settings = () => ({
      url: database.url,
      brokers: brokers(),
      topic: orders.name,
      name,
      group: randomName('group'),
      options: { position: { eventsMax: 5 } },
    })

    // Points of an event are hit in a running backlog, points of a batch once per start: those get a batch each.
    const perBatch = !(
      point.startsWith('consumer.effect') ||
      point.startsWith('consumer.commit') ||
      point.startsWith('consumer.mark')
    )
    const sent = events(kills * 8)
    if (!perBatch) await publish(orders, sent)
    for (let kill = 0; kill < kills; kill += 1) {
      if (perBatch) await publish(orders, sent.slice(kill * 8, (kill + 1) * 8))
      const hit = perBatch ? 1 : 1 + (kill % 7)
      expect(await startInboxProcess(settings(), `${point}@${hit}:kill`).ended).toBe('SIGKILL')
    }
    const last = startInboxProcess(settings())
    await eventually(async () => compare(sent, await effects(pool)).lost === 0)
    await last.started
    last.kill('SIGTERM')
    expect(await last.ended).toBe(null)

    const found = await effects(pool)
    expect(compare(sent, found)).toEqual({ lost: 0, doubled: 0 })
    expect(found).toHaveLength(sent.length)
    expect(inOrder(found)).toBe(true)
  },
)

test.concurrent(
  'an event whose handler kills its process becomes a dead letter, the others take effect',
  { timeout: 120_000 },
  async () => {
    await using opened = await openDatabase()
    const { database, pool } = opened
    const orders = await createOrders()
    const name = randomName('billing')
    const sent = events(20)
    await publish(orders, sent)
    const poison = sent[7]
    const settings = {
      url: database.url,
      brokers: brokers(),
      topic: orders.name,
      name,
      killAtValue: 7,
      options: { retry: { killsMax: 2 } },
    }

    // In a batch, then alone: twice counted, found by the next start.
    let ends = 0
    for (; ends < 10; ends += 1) {
      const one = startInboxProcess({ ...settings, group: randomName('group') })
      const done = eventually(async () => (await effects(pool)).length === 19).then(() => 'finished' as const)
      const end = await Promise.race([one.ended, done])
      if (end === 'finished') {
        one.kill('SIGTERM')
        await one.ended
        break
      }
    }

    expect(ends).toBe(3)
    const found = await effects(pool)
    expect(
      compare(
        sent.filter(({ id }) => id !== poison?.id),
        found,
      ),
    ).toEqual({ lost: 0, doubled: 0 })
    const letters = await pool.query(
      'select event_id, state, code, kills, attempts from inbox.parked where consumer = $1',
      [name],
    )
    expect(letters.rows).toEqual([
      { event_id: poison?.id, state: 'dead', code: 'CONSUMER_HANDLER_KILLED', kills: 2, attempts: 0 },
    ])
  },
)

test.concurrent('a kill by somebody else costs no event an attempt', { timeout: 60_000 }, async () => {
  await using opened = await openDatabase()
  const { database, pool } = opened
  const orders = await createOrders()
  const name = randomName('billing')
  const sent = events(10)
  await publish(orders, sent)
  const settings = () => ({
    url: database.url,
    brokers: brokers(),
    topic: orders.name,
    name,
    group: randomName('group'),
    options: { retry: { killsMax: 1, attemptsMax: 1 } },
  })

  expect(await startInboxProcess(settings(), 'consumer.effect.done@4:kill').ended).toBe('SIGKILL')
  const last = startInboxProcess(settings())
  await eventually(async () => (await effects(pool)).length === 10)
  await last.started
  last.kill('SIGTERM')
  await last.ended

  expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
  expect((await pool.query('select from inbox.parked where consumer = $1', [name])).rowCount).toBe(0)
  expect((await pool.query('select from inbox.attempts where consumer = $1', [name])).rowCount).toBe(0)
})
