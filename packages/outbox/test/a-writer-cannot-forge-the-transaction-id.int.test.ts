import { randomName, type TestDatabase } from '@internal/stack'
import { fromPg } from '@oncebox/outbox'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createOutboxDatabase, outbox, storedEvents } from './fixture.js'

const role = randomName('writer').slice(0, 60)
let database: TestDatabase
let owner: pg.Pool
let writer: pg.Pool

beforeAll(async () => {
  database = await createOutboxDatabase()
  owner = new pg.Pool({ connectionString: database.url, max: 2 })
  await owner.query(`create role "${role}" login`)
  await owner.query('select outbox.grant_writer($1)', [role])
  const url = new URL(database.url)
  url.username = role
  writer = new pg.Pool({ connectionString: url.href, max: 2 })
})
afterAll(async () => {
  await writer.end()
  await owner.query(`drop owned by "${role}"`)
  await owner.query(`drop role "${role}"`)
  await owner.end()
  await database.drop()
})

test('a writer can emit through the library and through the SQL function', async () => {
  await outbox.transaction(fromPg(writer), async (_tx, emit) =>
    emit('note.written', 'a', { key: 'k', occurredAt: new Date(0) }),
  )
  await writer.query(`select outbox.emit('billing', 'notes', 'note.written', 'k', '"b"')`)
  expect(await storedEvents(owner)).toMatchObject([{ payload: 'a' }, { payload: '"b"', source: 'billing' }])
})

test('a writer writes to the slot that the relay has chosen', async () => {
  await owner.query(`select setval('outbox.slot', 3)`)
  await outbox.transaction(fromPg(writer), async (_tx, emit) => emit('note.written', 'in slot 3'))
  const { rows } = await owner.query(`select slot from outbox.events where payload = 'in slot 3'`)
  expect(rows).toEqual([{ slot: 3 }])
  await owner.query(`select setval('outbox.slot', 1)`)
})

const row = `3, gen_random_uuid(), 's', 't', 'e'`
test.each([
  ['set txid', `insert into outbox.events (bucket, id, source, topic, type, txid) values (${row}, '3')`],
  ['set seq', `insert into outbox.events (bucket, id, source, topic, type, seq) values (${row}, 3)`],
  ['set slot', `insert into outbox.events (bucket, id, source, topic, type, slot) values (${row}, 2)`],
  ['choose a slot', `insert into outbox.events_2 (bucket, id, source, topic, type) values (${row})`],
  ['read events', 'select payload from outbox.events'],
  ['read a partition', 'select id from outbox.events_1'],
  ['change events', `update outbox.events set payload = null`],
  ['delete events', 'delete from outbox.events'],
  ['truncate events', 'truncate outbox.events_1'],
  ['move the slot', `select setval('outbox.slot', 2)`],
  ['advance the slot', `select nextval('outbox.slot')`],
  ['set the sequence back', `select setval('outbox.events_seq', 1)`],
  ['end the life', 'delete from outbox.life'],
  [
    'record a window',
    `insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot) values (0, 1, 1, 1, gen_random_uuid(), pg_current_snapshot())`,
  ],
  ['claim a shard', 'select from outbox.claims'],
  ['make others writers', `select outbox.grant_writer('postgres')`],
  ['create objects', 'create table outbox.mine ()'],
])('a writer cannot %s', async (_what, sql) => {
  await expect(writer.query(sql)).rejects.toMatchObject({ code: '42501' })
})
