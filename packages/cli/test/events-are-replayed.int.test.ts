import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test } from 'vitest'
import { createDatabase, createTopic, randomName, sharedStack } from '@internal/stack'
import { channels } from '@oncebox/core'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import { createRelay } from '@oncebox/relay'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
const unknownId = '01a215f3-0000-7000-8000-000000000000'

// As a person works: a role that may replay and nothing else, and the command line.
test('a person is told what a replay would publish, has it published, and learns what is not there any more', async () => {
  await using database = await createDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  await migrateOutbox(fromPg(pool))
  const support = randomName('support')
  await pool.query(`create role "${support}" login password 'x'`)
  await pool.query('select outbox.grant_replay($1)', [support])
  const [orders, bills] = [await createTopic('orders'), await createTopic('bills')]
  const name = randomName('relay')
  const kafka = { brokers: [...sharedStack().kafka.brokers] }
  await using relay = createRelay({ name, db: { connectionString: database.url }, kafka, logger: silent })
  const replays = watchReplays(name)
  const published = untilPublished(name, 5)
  await relay.start()
  for (const [topic, key] of [
    [orders, 'a'],
    [orders, "b'"],
    [orders, 'c'],
    [bills, 'a'],
    [bills, 'b'],
  ])
    await pool.query(
      `insert into outbox.events (bucket, id, source, topic, type, key, payload)
       values (outbox.bucket($2), outbox.uuid7(), 'test', $1, 'test.happened', $2, '{}')`,
      [topic, key],
    )
  await published

  const url = new URL(database.url)
  url.username = support
  url.password = 'x'
  // Neither the name of the relay nor Kafka is needed.
  const environment = { ONCEBOX_DATABASE_URL: url.href }
  const oncebox = async (...args: string[]): Promise<Run> => await run(environment, ['replay', ...args])
  const plan = await oncebox('--key', 'a', '--key', "b'", '--json')
  expect(plan.code).toBe(0)
  expect(JSON.parse(plan.output)).toMatchObject({
    events: 3,
    topics: [
      { topic: bills, events: 1 },
      { topic: orders, events: 2 },
    ].sort((one, other) => (one.topic < other.topic ? -1 : 1)),
  })
  const lost = await oncebox('--id', unknownId)
  expect(lost).toMatchObject({
    code: 0,
    output: expect.stringContaining(`not in the outbox: ${unknownId}`) as unknown,
  })
  expect(lost.output).toContain('the outbox has events since ')
  // So far nothing was published.
  expect(replays).toEqual([])

  const done = await oncebox('--topic', orders, '--since', '2020-01-01T00:00:00Z', '--yes', '--json')
  expect(done.code, done.output).toBe(0)
  const { number, ...state } = JSON.parse(done.output.split('\n', 1)[0] ?? '') as { number: number }
  expect(state).toMatchObject({ state: 'done', events: 3, refused: 0 })
  expect(replays).toEqual([`3 to ${orders}`])
  expect(await oncebox('--number', String(number))).toMatchObject({ code: 0 })

  const stuck = await oncebox('--key', 'c', '--to', 'no-such-topic', '--wait-ms', '1', '--yes')
  expect(stuck).toMatchObject({
    code: 1,
    output: expect.stringContaining('the relay goes on by itself') as unknown,
  })
  const off = await oncebox('--cancel', String(number + 1))
  expect(off).toMatchObject({ code: 0, output: expect.stringContaining('it was called off') as unknown })
  expect(await oncebox('--cancel', '99')).toMatchObject({ code: 1 })
  expect(await oncebox('--number', '99')).toMatchObject({ code: 1 })
  expect(await oncebox('--number', '1', '--cancel', '1')).toMatchObject({ code: 2 })
  expect(await oncebox()).toMatchObject({ code: 2 })
  expect(await oncebox('--id', 'no-id')).toMatchObject({ code: 2 })
  expect(await oncebox('--since', '2026-11-26T08:00')).toMatchObject({ code: 2 })
  await relay.stop()
  await pool.query(`drop owned by "${support}"; drop role "${support}"`)
  await pool.end()
})

/** What the relay publishes again from now on, a text per batch. */
function watchReplays(relay: string): readonly string[] {
  const seen: string[] = []
  channels.relayPublished.subscribe((message) => {
    const batch = message as {
      relay: string
      events: number
      topics: string[]
      position: { replayed?: object }
    }
    if (batch.relay === relay && batch.position.replayed !== undefined)
      seen.push(`${batch.events} to ${batch.topics.join()}`)
  })
  return seen
}

async function untilPublished(relay: string, events: number): Promise<void> {
  let left = events
  await new Promise<void>((resolve) => {
    const listener = (message: unknown): void => {
      const batch = message as { relay: string; events: number }
      if (batch.relay !== relay || (left -= batch.events) > 0) return
      channels.relayPublished.unsubscribe(listener)
      resolve()
    }
    channels.relayPublished.subscribe(listener)
  })
}

interface Run {
  readonly code: number
  readonly output: string
}

async function run(environment: Readonly<Record<string, string>>, args: readonly string[]): Promise<Run> {
  return await new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, ...args],
      { env: { PATH: process.env['PATH'], ...environment } },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    )
  })
}
