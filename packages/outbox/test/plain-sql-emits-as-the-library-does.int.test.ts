import type { TestDatabase } from '@internal/stack'
import { bucketOf } from '@oncebox/core'
import pg from 'pg'
import { validate, version } from 'uuid'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createOutboxDatabase, orders, outbox, placed, storedEvents } from './fixture.js'

let database: TestDatabase
let pool: pg.Pool
beforeAll(async () => {
  database = await createOutboxDatabase()
  pool = new pg.Pool({ connectionString: database.url, max: 2 })
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})
beforeEach(async () => {
  await pool.query('truncate outbox.events')
})

const millisOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

test('buckets agree for keys of every kind', async () => {
  const keys = [
    '',
    'a',
    'order-1',
    'ä',
    '日本',
    '🙂',
    "it's",
    '%s\\',
    ' ',
    'x'.repeat(10_000),
    ...Array.from({ length: 500 }, (_, n) => `k${n}`),
  ]
  const { rows } = await pool.query<{ key: string; bucket: number }>(
    'select key, outbox.bucket(key) as bucket from unnest($1::text[]) as key',
    [keys],
  )
  expect(rows).toEqual(keys.map((key) => ({ key, bucket: bucketOf(key) })))
})

test('keyless events spread over all buckets, each evaluated by itself', async () => {
  const { rows } = await pool.query<{ low: number; high: number; buckets: number }>(
    `select min(b)::int as low, max(b)::int as high, count(distinct b)::int as buckets
       from (select outbox.bucket(null) as b from generate_series(1, 10000)) x`,
  )
  expect(rows).toEqual([{ low: 0, high: 255, buckets: 256 }])
})

test('ids are UUID version 7 of now', async () => {
  const before = Date.now() - 5
  const { rows } = await pool.query<{ id: string }>(
    'select outbox.uuid7() as id from generate_series(1, 1000)',
  )
  const after = Date.now() + 5
  for (const { id } of rows) {
    expect([validate(id), version(id)], id).toEqual([true, 7])
    expect(millisOf(id)).toBeGreaterThanOrEqual(before)
    expect(millisOf(id)).toBeLessThanOrEqual(after)
  }
  expect(new Set(rows.map((row) => row.id)).size).toBe(1000)
})

test('outbox.emit writes the row that the library writes', async () => {
  const payload = placed('o-1')
  const { rows } = await pool.query<{ id: string }>(
    'select outbox.emit(source => $1, topic => $2, type => $3, key => $4, payload => $5, headers => $6, partition => $7) as id',
    [outbox.source, orders.name, 'order.placed', 'o-1', JSON.stringify(payload), { h: 'v' }, 2],
  )
  const client = await pool.connect()
  await client.query('begin')
  await outbox.emit(client, 'order.placed', payload, { headers: { h: 'v' }, partition: 2 })
  await client.query('commit')
  client.release()
  const [bySql, byLibrary] = await storedEvents(pool)
  expect(bySql?.id).toBe(rows[0]?.id)
  expect(JSON.parse(bySql?.payload ?? '')).toEqual(JSON.parse(byLibrary?.payload ?? ''))
  const same = { id: '', payload: '', occurred_at: null }
  expect({ ...bySql, ...same }).toEqual({ ...byLibrary, ...same })
})

test('a trigger emits inside the transaction of the row', async () => {
  await pool.query(`
    create function emit_order() returns trigger language plpgsql as $$
    begin
      perform outbox.emit('order-service', 'orders', 'order.placed', new.id, to_jsonb(new));
      return null;
    end $$;
    create trigger emit_order after insert on orders for each row execute function emit_order()`)
  const client = await pool.connect()
  await client.query(`begin; insert into orders (id) values ('gone'); rollback`)
  await client.query(`begin; insert into orders (id) values ('o-1'), ('o-2'); commit`)
  client.release()
  expect(await storedEvents(pool)).toMatchObject([
    { key: 'o-1', payload: '{"id": "o-1"}', bucket: bucketOf('o-1') },
    { key: 'o-2', payload: '{"id": "o-2"}', bucket: bucketOf('o-2') },
  ])
})

test('the search path of the caller cannot replace what outbox.emit calls', async () => {
  const client = await pool.connect()
  await client.query(`begin; create schema evil;
    create function evil.convert_to(text, name) returns bytea language sql as $$ select 'evil'::bytea $$;
    set local search_path = evil, pg_catalog`)
  await client.query(`select outbox.emit('s', 't', 'e', 'k', '1')`)
  expect(await storedEvents(client as never)).toMatchObject([{ payload: '1' }])
  await client.query('rollback')
  client.release()
})

test.each([
  ['a header of the envelope', '{"ce_id": "x"}'],
  ['a header of oncebox', '{"oncebox_attempt": "1"}'],
  ['a header that is no string', '{"h": 1}'],
  ['a header that is a list', '{"h": ["a"]}'],
  ['headers that are a list', '["a"]'],
])('%s is refused', async (_what, headers) => {
  const emitted = pool.query(`select outbox.emit('s', 't', 'e', 'k', '1', $1)`, [headers])
  await expect(emitted).rejects.toMatchObject({ code: '23514', constraint: 'events_headers' })
})

test('a tombstone needs a key, and JSON null is no tombstone', async () => {
  await expect(pool.query(`select outbox.emit('s', 't', 'e', null, null)`)).rejects.toMatchObject({
    constraint: 'events_tombstone_key',
  })
  await pool.query(`select outbox.emit('s', 't', 'e', 'k', null), outbox.emit('s', 't', 'e', null, 'null')`)
  expect((await storedEvents(pool)).map((event) => event.payload)).toEqual([null, 'null'])
})
