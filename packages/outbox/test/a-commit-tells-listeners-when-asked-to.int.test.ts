import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOutbox, fromPg, notifyChannel } from '@oncebox/outbox'
import type { TestDatabase } from '@internal/stack'
import { createOutboxDatabase, notes, orders, placed } from './fixture.js'

let database: TestDatabase
let pool: pg.Pool
let listener: pg.Client
const heard: string[] = []

beforeAll(async () => {
  database = await createOutboxDatabase()
  pool = new pg.Pool({ connectionString: database.url })
  listener = new pg.Client({ connectionString: database.url })
  await listener.connect()
  listener.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload ?? ''}`))
  await listener.query(`listen ${notifyChannel}`)
})

afterAll(async () => {
  await listener.end()
  await pool.end()
  await database.drop()
})

const end = 'all before this has been heard'

/** What was heard of the commits before this call. */
async function heardSoFar(): Promise<string[]> {
  await pool.query('select pg_notify($1, $2)', [notifyChannel, end])
  // Notifications come in the order of their commits.
  while (heard.at(-1) !== `${notifyChannel} ${end}`) await listener.query('select 1')
  return heard.splice(0).slice(0, -1)
}

const once = [`${notifyChannel} `]

test('a transaction with events is one notification, at its commit, and none when it is rolled back', async () => {
  const outbox = createOutbox({ source: 'order-service', topics: [orders, notes], notify: true })
  await outbox.transaction(fromPg(pool), async (_tx, emit) => {
    emit('order.placed', placed('a'))
    emit('order.placed', placed('b'))
    await Promise.resolve()
  })
  expect(await heardSoFar()).toEqual(once)
  const client = await pool.connect()
  await client.query('begin')
  for (const id of ['c', 'd', 'e']) await outbox.emit(client, 'order.placed', placed(id))
  expect(await heardSoFar()).toEqual([])
  await client.query('commit')
  expect(await heardSoFar()).toEqual(once)
  await client.query('begin')
  await outbox.emit(client, 'order.placed', placed('f'))
  await client.query('rollback')
  client.release()
  expect(await heardSoFar()).toEqual([])
  const { rows } = await pool.query<{ keys: string }>(
    `select string_agg(key, '' order by events.seq) as keys from outbox.events`,
  )
  expect(rows[0]?.keys).toBe('abcde')
})

test('more events than one statement takes are one notification all the same', async () => {
  const outbox = createOutbox({ source: 'order-service', topics: [orders, notes], notify: true })
  await outbox.transaction(fromPg(pool), async (_tx, emit) => {
    for (let note = 0; note < 2_500; note++) emit('note.written', `note ${note}`)
    await Promise.resolve()
  })
  expect(await heardSoFar()).toEqual(once)
})

test('nobody is told unless the outbox was asked to: the lock of NOTIFY at commit is not for everybody', async () => {
  const outbox = createOutbox({ source: 'order-service', topics: [orders, notes] })
  await outbox.transaction(fromPg(pool), async (_tx, emit) => {
    emit('order.placed', placed('a'))
    await Promise.resolve()
  })
  expect(await heardSoFar()).toEqual([])
})
