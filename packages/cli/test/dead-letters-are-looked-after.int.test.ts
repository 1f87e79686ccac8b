import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test } from 'vitest'
import { channels } from '@oncebox/core'
import { createDatabase, createTopic, randomName, setTopicConfig, sharedStack } from '@internal/stack'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import { createRelay, type DeadLetter } from '@oncebox/relay'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

// As a person works: a role that may look after dead letters and nothing else, and the command line.
test('a person finds what was refused, publishes one key again, and drops another event for good', async () => {
  await using database = await createDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  await migrateOutbox(fromPg(pool))
  const support = randomName('support')
  await pool.query(`create role "${support}" login password 'x'`)
  await pool.query('select outbox.grant_dead_letters($1)', [support])
  const topic = await createTopic('events', { config: { 'max.message.bytes': '4000' } })
  const brokers = [...sharedStack().kafka.brokers]
  const name = randomName('relay')
  const emit = async (key: string, payload: string, partition?: number): Promise<void> => {
    await pool.query(
      `insert into outbox.events (bucket, id, source, topic, type, key, partition, payload)
       values (outbox.bucket($2), outbox.uuid7(), 'test', $1, 'test.happened', $2, $4, convert_to($3, 'UTF8'))`,
      [topic, key, payload, partition],
    )
  }
  await emit('nowhere\u001b[2J', 'to no partition', 7)
  await emit('large', 'x'.repeat(5_000))
  await emit('large', 'behind it')
  await emit('other', 'fine')
  await using relay = createRelay({
    name,
    db: { connectionString: database.url },
    kafka: { brokers },
    logger: silent,
  })
  const settled = numbersSettled(name)
  await relay.start()

  const url = new URL(database.url)
  url.username = support
  url.password = 'x'
  const environment = {
    ONCEBOX_RELAY_NAME: name,
    ONCEBOX_DATABASE_URL: url.href,
    ONCEBOX_KAFKA_BROKERS: brokers.join(','),
  }
  const oncebox = async (...args: string[]): Promise<Run> => await run(environment, ['dead-letters', ...args])
  const list = async (...args: string[]): Promise<DeadLetter[]> =>
    JSON.parse((await oncebox('list', '--json', ...args)).output) as DeadLetter[]
  await expect.poll(async () => (await list()).length, { timeout: 30_000 }).toBe(3)
  expect((await list()).map(({ number, state, key }) => [number, state, key])).toEqual([
    [1, 'dead', 'nowhere\u001b[2J'],
    [2, 'dead', 'large'],
    [3, 'parked', 'large'],
  ])
  const seen = await oncebox('list')
  expect(seen.output).toContain('RELAY_EVENT_UNPUBLISHABLE')
  expect(seen.output).not.toContain('\u001b') // a key must not speak to the terminal
  expect((await oncebox('show', '1')).output).toContain('to no partition')
  expect(await oncebox('requeue', '3')).toMatchObject({
    code: 1,
    output: expect.stringContaining('waits for 2') as unknown,
  })
  expect(await oncebox('requeue', '99')).toMatchObject({ code: 1 })
  expect(await oncebox('requeue')).toMatchObject({ code: 2 })
  expect(await oncebox('lose', '1')).toMatchObject({ code: 2 })

  await setTopicConfig(topic, { 'max.message.bytes': '1048588' })
  expect(await oncebox('requeue', '--topic', topic)).toMatchObject({ code: 0 })
  await settled.until('published', [2, 3])
  await settled.until('failed', [1])
  expect((await list()).map(({ number, state }) => [number, state])).toEqual([[1, 'dead']])
  expect(await oncebox('discard', '1')).toMatchObject({ code: 0 })
  await settled.until('discarded', [1])
  expect(await list()).toEqual([])
  expect((await list('--state', 'all')).map(({ state }) => state)).toEqual([
    'discarded',
    'published',
    'published',
  ])
  expect(await oncebox('requeue', '1')).toMatchObject({ code: 1 })
  await relay.stop()
  await pool.query(`drop owned by "${support}"; drop role "${support}"`)
  await pool.end()
})

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

/** What became of the letters of a relay, by number, from now on. */
function numbersSettled(relay: string): {
  until(outcome: string, letters: readonly number[]): Promise<void>
} {
  const seen = new Set<string>()
  channels.relayDeadLettersSettled.subscribe((message) => {
    const settled = message as { relay: string; outcome: string; letters: number[] }
    if (settled.relay === relay)
      for (const letter of settled.letters) seen.add(`${settled.outcome} ${letter}`)
  })
  return {
    until: async (outcome, letters) => {
      await expect
        .poll(() => letters.filter((letter) => !seen.has(`${outcome} ${letter}`)), { timeout: 30_000 })
        .toEqual([])
    },
  }
}
