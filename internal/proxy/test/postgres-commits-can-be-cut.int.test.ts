import { createDatabase, type TestDatabase } from '@internal/stack'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { startProxy, type Proxy } from '../src/index.js'

let database: TestDatabase
let judge: pg.Client
beforeAll(async () => {
  database = await createDatabase()
  judge = new pg.Client(database.url)
  await judge.connect()
  await judge.query('create table items (id int primary key)')
})
afterAll(async () => {
  await judge.end()
  await database.drop()
})
beforeEach(async () => {
  await judge.query('truncate items')
})

/** A client behind the proxy, with a row inserted and not committed. */
async function setUp(): Promise<{ proxy: Proxy; client: pg.Client }> {
  const url = new URL(database.url)
  const upstream = { host: url.hostname, port: Number(url.port) }
  const proxy = await startProxy({ protocol: 'postgres', upstream })
  url.host = `${proxy.host}:${proxy.port}`
  const client = new pg.Client(url.href)
  client.on('error', () => undefined) // a cut connection is what this is for
  await client.connect()
  onTestFinished(async () => {
    await client.end().catch(() => undefined)
    await proxy[Symbol.asyncDispose]()
  })
  await client.query('begin')
  await client.query('insert into items (id) values ($1)', [1])
  return { proxy, client }
}

const items = async (): Promise<number> => (await judge.query('select from items')).rowCount ?? 0

test('without a rule everything passes', async () => {
  const { proxy, client } = await setUp()
  await client.query('commit')
  expect(await items()).toBe(1)
  expect(proxy.failures).toEqual([])
})

test('a COMMIT whose answer is cut has happened', async () => {
  const { proxy, client } = await setUp()
  const rule = proxy.on({ answer: /^COMMIT$/ }, 'cut-before')
  await expect(client.query('commit')).rejects.toThrow(/terminated|ECONNRESET/)
  expect(await rule.fired).toMatchObject({ name: 'CommandComplete', text: 'COMMIT' })
  expect(await items()).toBe(1)
})

test('a COMMIT that is cut off has not', async () => {
  const { proxy, client } = await setUp()
  const rule = proxy.on({ request: /^commit/i }, 'cut-before')
  await expect(client.query('commit')).rejects.toThrow(/terminated|ECONNRESET/)
  expect(await rule.fired).toMatchObject({ name: 'Query', text: 'commit' })
  await expect.poll(openTransactions).toBe(0)
  expect(await items()).toBe(0)
})

test('a COMMIT that is cut behind happens, although its client was gone before', async () => {
  const { proxy, client } = await setUp()
  const rule = proxy.on({ request: /^commit/i }, 'cut-after')
  await expect(client.query('commit')).rejects.toThrow(/terminated|ECONNRESET/)
  await rule.fired
  await expect.poll(items).toBe(1)
})

test('a held COMMIT leaves the transaction open until it is delivered, and cannot go elsewhere', async () => {
  const { proxy, client } = await setUp()
  const rule = proxy.on({ request: /^commit/i }, 'hold')
  const committed = client.query('commit')
  const frame = await rule.fired
  expect([await items(), await openTransactions()]).toEqual([0, 1])
  await frame.deliver()
  await committed
  expect(await items()).toBe(1)

  proxy.cutAll()
  await expect(frame.deliver()).rejects.toMatchObject({ code: 'PROXY_CONNECTION_GONE' })
})

async function openTransactions(): Promise<number> {
  const { rowCount } = await judge.query(
    "select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'",
  )
  return rowCount ?? 0
}
