import type { TestDatabase } from '@internal/stack'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createOutboxDatabase } from './fixture.js'

// What a relay does is written by hand here, row by row: only what the tables say may count.
let database: TestDatabase
let pool: pg.Pool
const connections: pg.Client[] = []
beforeEach(async () => {
  database = await createOutboxDatabase()
  pool = new pg.Pool({ connectionString: database.url, max: 6 })
  await initialise(0)
})
afterEach(async () => {
  await Promise.all(connections.splice(0).map((client) => client.end()))
  await pool.end()
  await database.drop()
})

interface Rotated {
  readonly advanced: number | null
  readonly emptied: number | null
  readonly due: readonly number[] | null
  readonly held_by: readonly number[] | null
  readonly blockers: readonly string[] | null
}

type Asker = Pick<pg.ClientBase, 'query'>

async function rotate(client: Asker = pool, relation = 'events', retentionMs = 0): Promise<Rotated> {
  const { rows } = await client.query<Rotated>('select * from outbox.rotate($1, $2, 0, 0)', [
    relation,
    retentionMs,
  ])
  const [row] = rows
  if (row === undefined) throw new Error('outbox.rotate answered nothing')
  return row
}

const initialise = async (shard: number, generation = 1): Promise<unknown> =>
  await pool.query(
    `insert into outbox.initialised (shard, generation, relay, kafka_cluster_id, progress_topic_id)
     values ($1, $2, 'orders', 'c', gen_random_uuid())`,
    [shard, generation],
  )

const insert = `
insert into outbox.events (bucket, id, source, topic, type, key, payload)
values (1, outbox.uuid7(), 'test', 'orders', 'order.placed', 'k', '{}')`
const emit = async (client: Asker = pool): Promise<unknown> => await client.query(insert)

let windowNumber = 0
/** A window record of now, that confirms `confirmed`. */
async function record(confirmed: number | null, { shard = 0, epoch = 1, to = 'pg_current_snapshot()' } = {}) {
  windowNumber++
  await pool.query(
    `insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot,
                                 confirmed_generation, confirmed_epoch, confirmed_window)
     select $1, max(generation), $2, $3, gen_random_uuid(), ${to}, max(generation), $4, $5 from outbox.shard_map`,
    [shard, epoch, windowNumber, confirmed === null ? null : epoch, confirmed],
  )
  return windowNumber
}

/** Everything that is visible now is published, for good. */
const confirmAll = async (shard = 0): Promise<unknown> =>
  await record(await record(null, { shard }), { shard })

async function rowsLeft(): Promise<number> {
  const { rows: counted } = await pool.query<{ count: number }>(
    'select count(*)::int as count from outbox.events',
  )
  return counted[0]?.count ?? Number.NaN
}

const slotOfWriters = async (): Promise<unknown> =>
  (await pool.query('select pg_sequence_last_value($1) as slot', ['outbox.slot'])).rows[0]

/** A connection of its own, which does not outlive the test. */
async function connect(options?: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, ...(options !== undefined && { options }) })
  await client.connect()
  connections.push(client)
  return client
}

async function transaction(begin = 'begin'): Promise<pg.Client> {
  const client = await connect()
  await client.query(begin)
  return client
}

const end = async (client: pg.Client, how = 'commit'): Promise<unknown> => await client.query(how)

test('a slot is left, and emptied when its events are confirmed', async () => {
  await emit()
  expect(await rotate()).toMatchObject({ advanced: 2, emptied: null, due: [1], held_by: [0] })
  await emit()
  await confirmAll()
  expect(await rotate()).toMatchObject({ advanced: 3, emptied: 1, due: [2], held_by: [] })
  expect(await rotate()).toMatchObject({ advanced: null, emptied: 2, due: [] })
  expect(await rotate()).toEqual({ advanced: null, emptied: null, due: [], held_by: [], blockers: [] })
  expect(await rowsLeft()).toBe(0)
})

test('nothing is emptied that no shard has confirmed, however old it is', async () => {
  await emit()
  await record(null)
  await rotate()
  expect(await rotate()).toMatchObject({ emptied: null, due: [1], held_by: [0] })
  expect(await rowsLeft()).toBe(1)
})

test('an event that commits after the confirmed snapshot stays, with all of its slot', async () => {
  await emit()
  await confirmAll()
  await emit()
  expect(await rotate()).toMatchObject({ advanced: 2, emptied: null, held_by: [0] })
  expect(await rowsLeft()).toBe(2)
})

test('an event whose transaction was open in the confirmed snapshot stays', async () => {
  const open = await transaction()
  await emit(open)
  await emit()
  await confirmAll()
  await end(open)
  expect(await rotate()).toMatchObject({ advanced: 2, emptied: null, held_by: [0] })
  await confirmAll()
  expect(await rotate()).toMatchObject({ emptied: 1 })
})

test('each shard has to confirm, one that has never published anything too', async () => {
  await pool.query(`insert into outbox.shard_map (generation, map) values (2, '{"shards":
    [{"shard": 0, "lane": "default", "bucketFrom": 0, "bucketTo": 127}, {"shard": 1, "lane": "default", "bucketFrom": 128, "bucketTo": 255}], "lanes": {}}')`)
  await emit()
  expect(await rotate()).toMatchObject({ held_by: [0, 1] })
  await initialise(0, 2)
  await initialise(1, 2)
  await confirmAll(0)
  expect(await rotate()).toMatchObject({ emptied: null, held_by: [1] })
  await confirmAll(1)
  expect(await rotate()).toMatchObject({ emptied: 1 })
})

test('what shards of an older map have confirmed counts no more', async () => {
  await emit()
  await confirmAll()
  await pool.query('insert into outbox.shard_map (generation, map) select 2, map from outbox.shard_map')
  expect(await rotate()).toMatchObject({ emptied: null, held_by: [0] })
})

test('a window of the same number that somebody else recorded is not the one that was confirmed', async () => {
  await emit()
  const old = await record(null, { epoch: 2, to: `'3:3:'` })
  windowNumber = old - 1
  await record(null, { epoch: 1 }) // a zombie's, with a newer snapshot
  await record(old, { epoch: 2 })
  expect(await rotate()).toMatchObject({ emptied: null, held_by: [0] })
})

test('records that a restore or a replica has copied confirm nothing', async () => {
  await emit()
  await confirmAll()
  await pool.query(
    `create temporary table copy as select * from outbox.windows; truncate outbox.windows; insert into outbox.windows select * from copy`,
  )
  expect(await rotate()).toMatchObject({ emptied: null, held_by: [0] })
  expect(await rowsLeft()).toBe(1)
})

test.each(['repeatable read', 'serializable'])('a transaction in %s is refused', async (isolation) => {
  await emit()
  await confirmAll()
  const refused = { code: '25000', message: expect.stringContaining(isolation) as string }
  const client = await transaction(`begin isolation level ${isolation}`)
  await expect(rotate(client)).rejects.toMatchObject(refused)
  await end(client, 'rollback')
  const careless = await connect(`-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`)
  await expect(rotate(careless)).rejects.toMatchObject(refused)
  expect(await rowsLeft()).toBe(1)
})

// The check before the lock has seen nothing; the transaction that it could not see commits before the lock is taken.
test('the check under the lock sees what has committed since the check before it', async () => {
  await emit()
  await confirmAll()
  const open = await transaction()
  await emit(open)
  expect(await rotate()).toMatchObject({ advanced: 2, due: [1] })
  await pool.query(`
    alter function outbox.holders(text, regclass) rename to real_holders;
    create function outbox.holders(relation text, part regclass) returns smallint[] language plpgsql set lock_timeout = 0 as $$
    declare found smallint[] := outbox.real_holders(relation, part);
    begin
      raise notice 'checked: %', found;
      perform pg_advisory_xact_lock_shared(4711);
      return found;
    end $$`)
  const gate = await transaction()
  await gate.query('select pg_advisory_xact_lock(4711)')
  const rotating = await connect()
  const checks: string[] = []
  const firstChecked = new Promise<void>((resolve) => {
    rotating.on('notice', ({ message = '' }) => {
      checks.push(message)
      resolve()
    })
  })
  const rotated = rotate(rotating)
  await firstChecked
  await end(open)
  await end(gate)
  expect(await rotated).toMatchObject({ emptied: null })
  expect(checks).toEqual(['checked: {}', 'checked: {0}'])
  expect(await rowsLeft()).toBe(2)
})

test.each([
  ['a writer', 'process', insert],
  ['a reader', 'process', 'select count(*) from outbox.events'],
  ['a dump', 'process', 'lock table outbox.events_1 in access share mode'],
])('%s who has a transaction open on a slot is named, and not waited for', async (_who, kind, sql) => {
  await emit()
  const client = await transaction()
  await client.query(sql)
  const { rows: backend } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  await rotate()
  await confirmAll()
  const startedMs = performance.now()
  expect(await rotate()).toMatchObject({ emptied: null, due: [1], blockers: [`${kind} ${backend[0]?.pid}`] })
  expect(performance.now() - startedMs).toBeLessThan(1_000)
  await end(client, 'rollback')
  expect(await rotate()).toMatchObject({ emptied: 1, blockers: [] })
})

test('a prepared transaction that has written to a slot is named', async () => {
  await emit()
  const client = await transaction()
  await emit(client)
  await end(client, `prepare transaction 'left behind'`)
  await rotate()
  await confirmAll()
  const blocked = await rotate()
  await pool.query(`rollback prepared 'left behind'`)
  expect(blocked).toMatchObject({ emptied: null, blockers: ['prepared transaction left behind'] })
  expect(await rotate()).toMatchObject({ emptied: 1 })
})

test('writers never move on to a slot that anybody has written to', async () => {
  await emit()
  const open = await transaction()
  await pool.query(`select setval('outbox.slot', 2)`)
  await emit(open)
  await pool.query(`select setval('outbox.slot', 1)`)
  expect(await rotate()).toMatchObject({ advanced: null })
  await end(open)
  expect(await rotate()).toMatchObject({ advanced: null, due: [2] })
  expect(await slotOfWriters()).toEqual({ slot: '1' })
})

test('writers do not move on to a slot that somebody is about to write to', async () => {
  await emit()
  const open = await transaction()
  await open.query('lock table outbox.events_2 in row exclusive mode') // as an INSERT does before its first row
  expect(await rotate()).toMatchObject({ advanced: null })
  await end(open)
  expect(await rotate()).toMatchObject({ advanced: 2 })
})

test('writers do not wait for the step that moved them on', async () => {
  await emit()
  const rotating = await transaction()
  expect(await rotate(rotating)).toMatchObject({ advanced: 2 })
  const writer = await transaction(`begin; set local lock_timeout = '1s'`)
  await emit(writer)
  await end(writer)
  await end(rotating, 'rollback')
  // The sequence has moved for good; ages are counted anew.
  expect(await slotOfWriters()).toEqual({ slot: '2' })
  expect(await rotate(pool, 'events', 3_600_000)).toMatchObject({ advanced: null, due: [] })
})

test('events stay for the retention time after their slot was left, writers for half of it in theirs', async () => {
  await emit()
  await confirmAll()
  const hour = 3_600_000
  expect(await rotate(pool, 'events', hour)).toMatchObject({ advanced: null, due: [] })
  await agesBy('29 minutes')
  expect(await rotate(pool, 'events', hour)).toMatchObject({ advanced: null })
  await agesBy('1 minute')
  expect(await rotate(pool, 'events', hour)).toMatchObject({ advanced: 2, due: [] })
  await agesBy('59 minutes')
  expect(await rotate(pool, 'events', hour)).toMatchObject({ emptied: null, due: [] })
  await agesBy('1 minute')
  expect(await rotate(pool, 'events', hour)).toMatchObject({ emptied: 1 })
})

const agesBy = async (interval: string): Promise<unknown> =>
  await pool.query('update outbox.rotations set at = at - $1::interval', [interval])

test('window records stay while a confirmed window, or a later one, is among them', async () => {
  const first = await record(null)
  await record(first)
  expect(await rotate(pool, 'windows')).toMatchObject({ advanced: 2, due: [1], held_by: [0] })
  const second = await record(first) // in slot 2: Kafka's position may stand on it
  expect(await rotate(pool, 'windows')).toMatchObject({ advanced: 3, emptied: null, held_by: [0] })
  await record(second)
  expect(await rotate(pool, 'windows')).toMatchObject({ emptied: 1, due: [2], held_by: [0] })
  const { rows: left } = await pool.query<{ window_number: string }>(
    'select window_number from outbox.windows order by 1',
  )
  expect(left.map(({ window_number: number }) => Number(number))).toEqual([second, second + 1])
})

test('window 0 of a shard that has not begun to publish stays', async () => {
  await pool.query('delete from outbox.initialised')
  await record(null)
  await rotate(pool, 'windows')
  expect(await rotate(pool, 'windows')).toMatchObject({ emptied: null, due: [1], held_by: [0] })
})

test('one step at a time: another process is told to leave it', async () => {
  await emit()
  const rotating = await transaction()
  await rotate(rotating)
  expect(await rotate()).toEqual({ advanced: null, emptied: null, due: null, held_by: null, blockers: null })
  await end(rotating)
})

test('a vacuum of the TOAST table is not waited for either', async () => {
  await pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select 1, outbox.uuid7(), 'test', 'orders', 'order.placed', 'k', convert_to(repeat('x', 100000), 'UTF8') from generate_series(1, 50)`,
  )
  await rotate()
  await confirmAll()
  const { rows: toast } = await pool.query<{ name: string }>(
    `select reltoastrelid::regclass::text as name from pg_class where oid = 'outbox.events_1'::regclass`,
  )
  const vacuuming = await connect()
  await vacuuming.query('set vacuum_cost_delay = 100; set vacuum_cost_limit = 1')
  const vacuumed = vacuuming.query(`vacuum (freeze, disable_page_skipping) ${toast[0]?.name ?? ''}`)
  const done = vacuumed.then(
    () => 'done',
    () => 'cancelled',
  )
  await expect
    .poll(async () => (await pool.query('select from pg_stat_progress_vacuum')).rowCount, { interval: 1 })
    .toBe(1)
  const startedMs = performance.now()
  expect(await rotate()).toMatchObject({ emptied: null, due: [1] })
  expect(performance.now() - startedMs).toBeLessThan(1_000)
  const { rows: backend } = await pool.query<{ pid: number }>('select pid from pg_stat_progress_vacuum')
  await pool.query('select pg_cancel_backend($1)', [backend[0]?.pid])
  expect(await done).toBe('cancelled')
  expect(await rotate()).toMatchObject({ emptied: 1 })
})

test.each([
  ['slots', 0],
  ['events', -1],
])('%s with %i is no step', async (relation, retentionMs) => {
  await expect(rotate(pool, relation, retentionMs)).rejects.toMatchObject({ code: '22023' })
})
