import { expect, test } from 'vitest'
import pg from 'pg'
import { createDatabase, randomName, sharedStack, type TestDatabase } from '@internal/stack'
import { createRelay } from '../src/index.js'
import { outboxTemplate, setUp, untilPublished, type Bed } from './bed.js'

// The database and Kafka disagree about what was published. Going on would lose or double events, so the relay stops,
// typed, with the remedy that says what to run.
const diverged = {
  code: 'RELAY_HISTORY_DIVERGED',
  remedy: expect.stringContaining('oncebox adopt') as string,
}

test('a database restored to an older state', async () => {
  await using bed = await setUp()
  await publish(bed, 3)
  await using older = await copyOf(bed)
  await publish(bed, 3)
  await expect(startOn(bed, older.url)).rejects.toMatchObject(diverged)
})

test('a dump and restore: the window record is there, as a copy', async () => {
  await using bed = await setUp()
  await publish(bed, 3)
  await using restored = await createDatabase({ template: outboxTemplate })
  await copyRows(bed.url, restored.url)
  await expect(startOn(bed, restored.url)).rejects.toMatchObject({
    ...diverged,
    message: expect.stringContaining('copy') as string,
  })
})

// Epochs and window numbers repeat when two histories part; the incarnation does not.
test('a record of the same epoch and number that another incarnation wrote proves nothing', async () => {
  await using bed = await setUp()
  await publish(bed, 3)
  const { rowCount } = await bed.pool.query(
    `with ours as (delete from outbox.windows where window_number > 0 returning *)
     insert into outbox.windows (shard, generation, epoch, window_number, incarnation, to_snapshot)
     select shard, generation, epoch, window_number, gen_random_uuid(), to_snapshot from ours`,
  )
  expect(rowCount).toBeGreaterThan(0)
  await expect(startOn(bed, bed.url)).rejects.toMatchObject({
    ...diverged,
    message: expect.stringContaining('no record') as string,
  })
})

test('the wrong database: Kafka has a position, the database has never published', async () => {
  await using bed = await setUp()
  await publish(bed, 1)
  await using other = await createDatabase({ template: outboxTemplate })
  await expect(startOn(bed, other.url)).rejects.toMatchObject(diverged)
})

test('a Kafka that has no position of an outbox that was published before', async () => {
  await using bed = await setUp()
  await publish(bed, 1)
  const relay = createRelay({ ...bed.options, name: randomName('other') })
  await expect(relay.start()).rejects.toMatchObject(diverged)
})

test('an outbox that has never been published may start twice before its first event', async () => {
  await using bed = await setUp()
  for (let start = 0; start < 3; start++) {
    await using relay = createRelay(bed.options)
    await relay.start()
  }
  await publish(bed, 2)
  expect(await bed.published()).toHaveLength(2)
})

async function publish(bed: Bed, events: number): Promise<void> {
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, events)
  await relay.start()
  await bed.emit(Array.from({ length: events }, (_, n) => `key-${n}`))
  await published
}

const startOn = async (bed: Bed, url: string): Promise<void> =>
  await createRelay({ ...bed.options, db: { connectionString: url } }).start()

/** A physical copy, as a file system snapshot or a base backup restores it. */
async function copyOf(bed: Bed): Promise<TestDatabase> {
  const source = new URL(bed.url).pathname.slice(1)
  const client = new pg.Client({ connectionString: sharedStack().postgres.url })
  await client.connect()
  // Cloning needs the source without connections; the pool opens new ones by itself.
  await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [source])
  const name = randomName('restored')
  await client.query(`create database "${name}" template "${source}"`)
  await client.end()
  const drop = async (): Promise<void> => {
    const admin = new pg.Client({ connectionString: sharedStack().postgres.url })
    await admin.connect()
    await admin.query(`drop database if exists "${name}" with (force)`)
    await admin.end()
  }
  return { name, url: bed.url.replace(source, name), drop, [Symbol.asyncDispose]: drop }
}

/** What pg_dump and pg_restore do with the rows: the same values, written by new transactions. */
async function copyRows(from: string, to: string): Promise<void> {
  const [source, target] = [
    new pg.Client({ connectionString: from }),
    new pg.Client({ connectionString: to }),
  ]
  await Promise.all([source.connect(), target.connect()])
  for (const table of ['claims', 'windows', 'initialised', 'events']) {
    const { rows } = await source.query<{ row: string }>(
      `select to_jsonb(t)::text as row from outbox.${table} t`,
    )
    for (const { row } of rows)
      await target.query(
        `insert into outbox.${table} select * from jsonb_populate_record(null::outbox.${table}, $1)`,
        [row],
      )
  }
  await Promise.all([source.end(), target.end()])
}
