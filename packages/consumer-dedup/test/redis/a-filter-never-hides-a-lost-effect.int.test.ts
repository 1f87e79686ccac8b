import {
  createDatabase,
  randomName,
  runCommand,
  startPrivatePostgres,
  startPrivateRedis,
  type PrivatePostgres,
} from '@internal/stack'
import { migrateInbox } from '@oncebox/consumer-dedup'
import { readDatabaseLife, redisFilter, type EventKey, type InboxFilter } from '@oncebox/consumer-dedup/redis'
import { channels } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { rename, rm } from 'node:fs/promises'
import pg from 'pg'
import { v7 as uuid7 } from 'uuid'
import { expect, onTestFinished, test } from 'vitest'
import { connect, hourMs } from './fixture.js'

const events = (count: number): EventKey[] =>
  Array.from({ length: count }, () => ({ source: 'orders', id: uuid7() }))

/** A consumer in small: the filter first, then mark and effect in one transaction, then the filter is told. */
class Consumer {
  filtered = 0
  readonly #pool: pg.Pool
  readonly #filter: InboxFilter

  constructor(url: string, filter: InboxFilter) {
    this.#pool = new pg.Pool({ connectionString: url, max: 1 })
    this.#pool.on('error', () => undefined)
    this.#filter = filter
  }

  /** Delivers a batch; returns how many effects happened. */
  async deliver(batch: readonly EventKey[]): Promise<number> {
    const { outside } = fromPg(this.#pool)
    await this.#pool.query('insert into inbox.life default values on conflict do nothing')
    const life = await readDatabaseLife(outside)
    if (life === undefined) throw new Error('no life')
    const known = await this.#filter.knows(life, batch)
    const rest = batch.filter((_, index) => !known[index])
    this.filtered += batch.length - rest.length
    let effects = 0
    for (const { source, id } of rest) {
      const { rowCount } = await this.#pool.query(
        `with mark as (insert into inbox.marks values ('billing', $1, $2, 'epoch') on conflict do nothing returning id)
         insert into effects select id from mark`,
        [source, id],
      )
      effects += rowCount ?? 0
    }
    await this.#filter.remember(life, batch)
    return effects
  }

  async effects(): Promise<{ count: number; ids: number }> {
    const { rows } = await this.#pool.query<{ count: number; ids: number }>(
      'select count(*)::int as count, count(distinct id)::int as ids from effects',
    )
    return rows[0] ?? { count: 0, ids: 0 }
  }

  end(): Promise<void> {
    return this.#pool.end()
  }
}

async function prepare(url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url })
  await migrateInbox(fromPg(pool))
  await pool.query('create table effects (id uuid)')
  await pool.end()
}

const databaseOf = (server: PrivatePostgres, name: string): string => {
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return url.href
}

async function sql(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  for (const statement of statements) await client.query(statement)
  await client.end()
}

async function walWriterOf(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ pid: number }>(
    "select pid from pg_stat_activity where backend_type = 'walwriter'",
  )
  await client.end()
  return rows[0]?.pid ?? 0
}

test('a database that was set back, in whatever way, gets every lost effect again', async () => {
  await using server = await startPrivatePostgres({ release: 'debian' })
  await using redisServer = await startPrivateRedis()
  const filter = redisFilter({
    redis: connect(redisServer.url),
    consumer: 'billing',
    retentionMs: hourMs,
    timeoutMs: 5_000,
  })
  await sql(server.url, 'create database billing')
  const url = databaseOf(server, 'billing')
  await prepare(url)
  const all: EventKey[] = []

  /** Three events that are there before the disaster, and three that it takes away. */
  const throughDisaster = async (
    name: string,
    disaster: (loseThree: () => Promise<void>) => Promise<void>,
  ): Promise<void> => {
    const kept = events(3)
    const lost = events(3)
    const before = new Consumer(url, filter)
    expect(await before.deliver(kept)).toBe(3)
    expect(await before.deliver(kept)).toBe(0)
    expect([name, before.filtered]).toEqual([name, 3])
    await before.end()
    await disaster(async () => {
      const consumer = new Consumer(url, filter)
      expect(await consumer.deliver(lost)).toBe(3)
      await consumer.end()
    })
    all.push(...kept, ...lost)
    const after = new Consumer(url, filter)
    expect([name, await after.deliver([...kept, ...lost])]).toEqual([name, 3])
    expect(await after.deliver([...kept, ...lost])).toBe(0)
    expect([name, after.filtered]).toEqual([name, 6])
    expect(await after.effects()).toEqual({ count: all.length, ids: all.length })
    await after.end()
  }

  const dumpFile = `${server.dataDir}.dump`
  const dump = (): Promise<unknown> =>
    server.runTool('pg_dump', ['--format=custom', '--file', dumpFile, 'billing'])
  const restore = (...options: string[]): Promise<unknown> =>
    server.runTool('pg_restore', [...options, '--dbname', 'billing', dumpFile])

  await throughDisaster('a dump is restored over it', async (loseThree) => {
    await dump()
    await loseThree()
    await sql(url, 'drop schema inbox cascade', 'drop table effects')
    await restore()
  })
  await throughDisaster('the rows of a dump are restored', async (loseThree) => {
    await dump()
    await loseThree()
    await sql(
      url,
      'truncate inbox.migrations, inbox.grants, inbox.life, inbox.marks, inbox.mark_days, effects',
    )
    await restore('--data-only')
  })
  await throughDisaster('a dump is restored into a new database', async (loseThree) => {
    await dump()
    await loseThree()
    await sql(server.url, 'drop database billing', 'create database billing')
    await restore()
  })
  await throughDisaster('a copy by template takes its place', async (loseThree) => {
    await sql(server.url, 'create database backup template billing')
    await loseThree()
    await sql(server.url, 'drop database billing', 'alter database backup rename to billing')
  })
  await throughDisaster('a copy of its files, taken while it was down, is put back', async (loseThree) => {
    const copy = `${server.dataDir}.copy`
    await server.stop('fast')
    await runCommand('cp', ['-a', server.dataDir, copy])
    await server.start()
    await loseThree()
    await server.stop('fast')
    await rm(server.dataDir, { recursive: true })
    await rename(copy, server.dataDir)
    await server.start()
  })
  await throughDisaster('it crashes, and had not waited for the disk', async (loseThree) => {
    await sql(url, 'alter database billing set synchronous_commit = off', 'checkpoint')
    process.kill(await walWriterOf(url), 'SIGSTOP') // commits are answered, and nobody writes them
    await loseThree()
    await server.kill('SIGKILL')
    await server.start()
    await sql(url, 'alter database billing reset synchronous_commit')
  })
}, 120_000)

test('a batch costs one command, whatever Redis does with it afterwards', async () => {
  await using server = await startPrivateRedis({ settings: { 'maxmemory-policy': 'allkeys-lru' } })
  const redis = connect(server.url)
  const filter = redisFilter({ redis, consumer: 'billing', retentionMs: hourMs, timeoutMs: 5_000 })
  const [done, unseen] = [events(500), events(500)]
  await filter.remember('life-1', done)
  await redis.config('RESETSTAT')
  expect(await filter.knows('life-1', [...done, ...unseen])).toEqual([
    ...done.map(() => true),
    ...unseen.map(() => false),
  ])
  expect((await redis.info('commandstats')).match(/cmdstat_mget:calls=\d+/g)).toEqual([
    'cmdstat_mget:calls=1',
  ])
  expect(filter.counts).toEqual({ known: 500, unknown: 500, failed: 0 })

  // Another life, another source and another consumer are something else.
  expect(new Set(await filter.knows('life-2', done))).toEqual(new Set([false]))
  const elsewhere = done.map(({ id }) => ({ source: 'returns', id }))
  expect(new Set(await filter.knows('life-1', elsewhere))).toEqual(new Set([false]))
  const other = redisFilter({ redis, consumer: 'shipping', retentionMs: hourMs })
  expect(new Set(await other.knows('life-1', done))).toEqual(new Set([false]))
  await redis.flushall()
  expect(new Set(await filter.knows('life-1', done))).toEqual(new Set([false]))
})

test('a Redis that is away holds nobody up: the database is asked, and Redis is left alone for a while', async () => {
  await using server = await startPrivateRedis()
  const redis = connect(server.url)
  const consumer = randomName('billing')
  const filter = redisFilter({ redis, consumer, retentionMs: hourMs, timeoutMs: 100, pauseMs: 1_000 })
  const done = events(3)
  await filter.remember('life', done)
  const told: unknown[] = []
  const listen = (message: unknown): void => void told.push(message)
  channels.consumerFilterUnavailable.subscribe(listen)
  onTestFinished(() => {
    channels.consumerFilterUnavailable.unsubscribe(listen)
  })

  await server.kill()
  const startedAt = performance.now()
  for (let turn = 0; turn < 50; turn += 1) {
    expect(await filter.knows('life', done)).toEqual([false, false, false])
    await filter.remember('life', done)
  }
  expect(performance.now() - startedAt).toBeLessThan(500)
  expect(filter.counts).toEqual({ known: 0, unknown: 150, failed: 1 })
  expect(told).toMatchObject([{ consumer, error: { code: 'CONSUMER_REDIS_UNAVAILABLE' } }])
  await server.start()
  await expect.poll(() => filter.knows('life', done), { timeout: 5_000 }).toEqual([true, true, true])
})

test('a consumer with the documented privileges may read the life of its database', async () => {
  await using database = await createDatabase({ template: { name: `life-${process.pid}`, prepare } })
  await sql(
    database.url,
    'create role life_reader login',
    "select inbox.grant_consumer('life_reader')",
    'insert into inbox.life default values',
  )
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  await client.query('set role life_reader')
  const pool = { query: client.query.bind(client) }
  expect(
    await readDatabaseLife({ query: async (text) => ({ rows: (await pool.query(text)).rows, rowCount: 1 }) }),
  ).toMatch(/^\d+\//)
  await client.end()
  await sql(database.url, 'drop owned by life_reader', 'drop role life_reader')
})
