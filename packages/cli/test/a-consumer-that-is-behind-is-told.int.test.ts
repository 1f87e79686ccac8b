import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { createDatabase, createTopic, randomName, sharedStack } from '@internal/stack'
import { createConsumer, migrateInbox, type StandingPartition } from '@oncebox/consumer-dedup'
import { channels, defineTopic } from '@oncebox/core'
import { createOutbox, fromPg, migrateOutbox } from '@oncebox/outbox'
import { createRelay } from '@oncebox/relay'
import pg from 'pg'
import { expect, test } from 'vitest'
import { z } from 'zod'

const program = fileURLToPath(new URL('../bin/oncebox.js', import.meta.url))
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

async function oncebox(
  env: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = execFile(process.execPath, [program, ...args], { env: { PATH: process.env['PATH'], ...env } })
  const parts = { stdout: '', stderr: '' }
  child.stdout?.on('data', (text: string) => (parts.stdout += text))
  child.stderr?.on('data', (text: string) => (parts.stderr += text))
  const [code] = (await once(child, 'close')) as [number]
  return { code, ...parts }
}

test('how far a consumer is behind: by what its group has committed, or by its database, whose position wins', async () => {
  const database = await createDatabase()
  const pool = new pg.Pool({ connectionString: database.url })
  pool.on('error', () => undefined)
  const db = fromPg(pool)
  await migrateOutbox(db)
  await migrateInbox(db)
  const topic = defineTopic(await createTopic('orders', { partitions: 1 }), {
    key: () => 'one',
    events: { 'order.placed': z.object({ value: z.int() }) },
  })
  const outbox = createOutbox({ source: 'orders', topics: [topic] })
  const kafka = { brokers: [...sharedStack().kafka.brokers] }
  const [group, name] = [randomName('group'), randomName('billing')]
  const env = { ONCEBOX_DATABASE_URL: database.url, ONCEBOX_KAFKA_BROKERS: kafka.brokers.join(',') }
  const lagOf = async (...args: readonly string[]): Promise<{ code: number; found: StandingPartition[] }> => {
    const { code, stdout, stderr } = await oncebox(env, 'lag', ...args, '--json')
    if (stdout === '') throw new Error(stderr)
    // One object, of the type that the command writes.
    return { code, found: (JSON.parse(stdout) as { partitions: StandingPartition[] }).partitions }
  }
  const emit = async (count: number): Promise<void> => {
    let left = count
    const published = new Promise<void>((resolve) => {
      const listener = (message: unknown): void => {
        left -= (message as { readonly events: number }).events // what a relay publishes; there is one in this file
        if (left > 0) return
        channels.relayPublished.unsubscribe(listener)
        resolve()
      }
      channels.relayPublished.subscribe(listener)
    })
    for (let value = 0; value < count; value += 1)
      await outbox.transaction(db, async (tx) => await outbox.emit(tx, 'order.placed', { value }))
    await published
  }
  const relay = createRelay({
    name: randomName('relay'),
    db: { connectionString: database.url },
    kafka,
    logger: silent,
  })
  await relay.start()
  try {
    expect((await lagOf('--consumer', name)).found).toEqual([]) // nothing is known of it
    expect((await lagOf('--consumer', name, '--warn', '5')).code).toBe(1)
    await emit(5)
    const unread = await lagOf('--consumer-group', group, '--topic', topic.name, '--warn', '4')
    expect(unread.code).toBe(1)
    expect(unread.found).toMatchObject([{ topic: topic.name, partition: 0 }])
    expect(unread.found[0]?.position).toBeUndefined()
    expect(unread.found[0]?.lag).toBeGreaterThanOrEqual(5)

    const consumer = createConsumer({ group, name, topics: [topic], db, kafka, mode: 'inbox' })
    consumer.on('order.placed', async () => undefined)
    await consumer.start()
    await expect.poll(() => consumer.counts.handled).toBe(5)
    await expect.poll(async () => (await consumer.lag())[0]?.lag).toBe(0)
    await consumer.stop()
    for (const who of [
      ['--consumer', name],
      ['--consumer-group', group],
    ])
      expect(await lagOf(...who, '--warn', '0')).toMatchObject({ code: 0, found: [{ lag: 0 }] })

    await emit(3)
    const behind = await lagOf('--consumer', name, '--warn', '2')
    const [one] = behind.found
    expect(behind.code).toBe(1)
    expect(one?.lag).toBeGreaterThanOrEqual(3)
    expect(one?.lag).toBe(Number(one?.lastStableOffset) - Number(one?.position))
    expect((await lagOf('--consumer', name, '--warn', String(one?.lag))).code).toBe(0)
    // A restored database: the group's offset in Kafka says something else, and does not count.
    await pool.query('update inbox.positions set next = 0, in_hand = 0 where consumer = $1', [name])
    expect((await lagOf('--consumer', name)).found).toMatchObject([
      { position: '0', lag: Number(one?.lastStableOffset) },
    ])
    expect((await lagOf('--consumer-group', group)).found).toMatchObject([{ position: one?.position }])
    expect((await oncebox(env, 'lag', '--consumer', name)).stdout).toMatch(
      /^topic +partition +position +stable/,
    )
  } finally {
    await relay.stop()
    await pool.end()
    await database.drop()
  }
})

test('a question that makes no sense is refused, with what to do', async () => {
  const refused = async (...args: readonly string[]): Promise<string> => {
    const { code, stderr } = await oncebox({}, 'lag', ...args)
    expect(code).toBe(2)
    return stderr
  }
  expect(await refused('--consumer', 'a', '--consumer-group', 'b')).toContain(
    '--consumer and --consumer-group',
  )
  expect(await refused('--consumer', 'a', '--max-ms', '5')).toContain('--max-ms tells of the relay')
  expect(await refused('--warn', '5')).toContain('--warn needs --consumer NAME')
  expect(await refused('--consumer-group', 'b')).toContain('ONCEBOX_KAFKA_BROKERS')
})
