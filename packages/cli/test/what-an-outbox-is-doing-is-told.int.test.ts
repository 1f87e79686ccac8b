import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test } from 'vitest'
import { createDatabase, createTopic, randomName, sharedStack } from '@internal/stack'
import { channels } from '@oncebox/core'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import { createRelay, type OutboxLag, type OutboxStatus, type Relay, type TailedEvent } from '@oncebox/relay'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))
const canary = 'canary-93c1'
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const insert = `
insert into outbox.events (bucket, id, source, topic, type, key, payload)
values (outbox.bucket($2), outbox.uuid7(), 'test', $1, 'test.happened', $2, convert_to($3, 'UTF8'))`

interface Bed extends AsyncDisposable {
  readonly pool: pg.Pool
  readonly topic: string
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  emit(events: number): Promise<void>
  relay(eventsMax?: number): Relay
}

async function setUp(): Promise<Bed> {
  const database = await createDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  pool.on('error', () => undefined)
  await migrateOutbox(fromPg(pool))
  const topic = await createTopic('told')
  const name = randomName('told')
  const brokers = [...sharedStack().kafka.brokers]
  return {
    pool,
    topic,
    name,
    env: {
      ONCEBOX_RELAY_NAME: name,
      ONCEBOX_DATABASE_URL: database.url,
      ONCEBOX_KAFKA_BROKERS: brokers.join(','),
    },
    emit: async (events) => {
      for (let event = 0; event < events; event++) await pool.query(insert, [topic, `key-${event}`, canary])
    },
    relay: (eventsMax = 5_000) =>
      createRelay({
        name,
        db: { connectionString: database.url },
        kafka: { brokers },
        batch: { eventsMax },
        leaseMs: 2_000,
        logger: silent,
      }),
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      await database.drop()
    },
  }
}

async function oncebox<Answer>(bed: Bed, args: readonly string[]): Promise<{ code: number; answer: Answer }> {
  return await new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [program, ...args, '--json'],
      { env: { PATH: process.env['PATH'], ...bed.env } },
      (error, stdout, stderr) => {
        if (stdout === '') return reject(new Error(stderr))
        // One object, of the type that the command writes.
        resolve({ code: error === null ? 0 : Number(error.code), answer: JSON.parse(stdout) as Answer })
      },
    )
  })
}
const lagOf = (bed: Bed, ...args: string[]): Promise<{ code: number; answer: OutboxLag }> =>
  oncebox(bed, ['lag', ...args])
const statusOf = (bed: Bed): Promise<{ code: number; answer: OutboxStatus }> => oncebox(bed, ['status'])

/** Resolves when the relay has committed so many events in all. */
async function untilPublished(relay: string, events: number): Promise<void> {
  await new Promise<void>((resolve) => {
    let left = events
    const listener = (message: unknown): void => {
      const published = message as { readonly relay: string; readonly events: number }
      if (published.relay !== relay || (left -= published.events) > 0) return
      channels.relayPublished.unsubscribe(listener)
      resolve()
    }
    channels.relayPublished.subscribe(listener)
  })
}

test('lag counts what is committed and not published: before the first start, inside a window, behind one, and when all is done', async () => {
  await using bed = await setUp()
  await bed.emit(5)
  const before = await lagOf(bed, '--max-events', '4')
  expect(before).toMatchObject({ code: 1, answer: { shards: [{ shard: 0, backlog: { events: 5 } }] } })
  expect(before.answer.shards[0]?.backlog?.oldestMs).toBeGreaterThan(0)
  expect(await statusOf(bed)).toMatchObject({
    code: 1,
    answer: { generation: 1, shards: [{ shard: 0, holder: null, epoch: null, window: null }], members: [] },
  })

  // A relay that is stopped between two batches of a window leaves its position inside it.
  await using small = bed.relay(2)
  const some = untilPublished(bed.name, 2)
  await small.start()
  await some
  await small.stop()
  await bed.emit(3)
  const { answer: inside } = await lagOf(bed)
  const published = inside.shards[0]?.eventsTotal ?? 0
  expect(published).toBeGreaterThan(0)
  expect(inside.shards[0]?.backlog?.events).toBe(8 - published)

  await using relay = bed.relay()
  const rest = untilPublished(bed.name, 8 - published)
  await relay.start()
  await rest
  expect(await lagOf(bed, '--max-events', '0', '--max-ms', '0')).toMatchObject({
    code: 0,
    answer: { shards: [{ backlog: { events: 0, oldestMs: 0 }, eventsTotal: 8 }], holders: [] },
  })
  const { code, answer } = await statusOf(bed)
  expect(code).toBe(0)
  expect(answer.shards[0]?.holder).toBe(answer.members.find(({ alive }) => alive)?.holder)
  expect(answer.shards[0]?.windowMs).toBeGreaterThan(0)
  await relay.stop()
  expect((await statusOf(bed)).code).toBe(1)
})

test('who holds events back is named, by pid and by the name of a prepared transaction, without the values of its statement', async () => {
  await using bed = await setUp()
  await bed.emit(1)
  const [open, prepared, reader] = await Promise.all([1, 2, 3].map(() => bed.pool.connect()))
  if (open === undefined || prepared === undefined || reader === undefined) throw new Error('no connections')
  const literal = `insert into outbox.events (bucket, id, source, topic, type, key, payload)
    values (0, outbox.uuid7(), 'test', '${bed.topic}', 't', 'k', '${canary}')`
  try {
    await reader.query('begin; select count(*) from outbox.events')
    await open.query(`begin; ${literal}`)
    await prepared.query(`begin; ${literal}`)
    await prepared.query(`prepare transaction 'left-${bed.name}'`)
    const { rows } = await open.query<{ pid: number }>('select pg_backend_pid() as pid')
    await open.query(literal)
    const lag = await lagOf(bed)
    const status = await statusOf(bed)
    expect(lag.answer.shards[0]?.backlog?.events).toBe(1)
    for (const { answer } of [lag, status]) {
      expect(answer.holders.map(({ kind, pid, gid }) => ({ kind, pid, gid }))).toEqual(
        expect.arrayContaining([
          { kind: 'transaction', pid: rows[0]?.pid, gid: undefined },
          { kind: 'prepared', pid: undefined, gid: `left-${bed.name}` },
        ]),
      )
      expect(answer.holders).toHaveLength(2)
      expect(answer.holders.find(({ kind }) => kind === 'transaction')).toMatchObject({
        state: 'idle in transaction',
        query: expect.stringContaining('values (?, outbox.uuid7(), ?, ?') as string,
      })
      expect(JSON.stringify(answer)).not.toContain(canary)
    }
  } finally {
    await open.query('rollback')
    await prepared.query(`rollback prepared 'left-${bed.name}'`)
    await reader.query('rollback')
    for (const client of [open, prepared, reader]) client.release()
  }
  expect((await statusOf(bed)).answer.holders).toEqual([])
})

test('tail prints events as they commit, those of a long transaction when that commits, and nothing of their payloads', async () => {
  await using bed = await setUp()
  const child = spawn(process.execPath, [program, 'tail', '--topic', bed.topic, '--json'], {
    env: { PATH: process.env['PATH'], ...bed.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async (): Promise<TailedEvent> => {
    const { value } = await lines.next()
    expect(value).not.toContain(canary)
    return JSON.parse(String(value)) as TailedEvent // what tail writes
  }
  try {
    for (;;) {
      const { rows } = await bed.pool.query(
        `select from pg_stat_activity where application_name = 'oncebox tail' and query like '%pg_current_snapshot%'`,
      )
      if (rows.length > 0) break
    }
    const long = await bed.pool.connect()
    await long.query('begin')
    await long.query(insert, [bed.topic, 'long', canary])
    await bed.pool.query(insert, ['another-topic', 'other', canary])
    await bed.pool.query(insert, [bed.topic, 'short', canary])
    expect(await next()).toMatchObject({
      key: 'short',
      topic: bed.topic,
      type: 'test.happened',
      payloadBytes: canary.length,
    })
    await long.query('commit')
    long.release()
    expect(await next()).toMatchObject({ key: 'long' })
  } finally {
    child.kill('SIGTERM')
  }
  expect(await ended).toEqual([0, null])
})
