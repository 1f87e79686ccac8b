import { randomInt } from 'node:crypto'
import type { Client } from 'pg'
import { expect, test } from 'vitest'
import { describeVerdict, judge, type Verdict } from '@internal/audit'
import { sequenceReader } from './sequence-reader.js'
import { createRelayReading } from '../src/relay.js'
import { openWindowReader, type OpenReader } from '../src/publishing/publish-shard.js'
import { setUp, toSightings, untilIdleAt, type Bed } from './bed.js'

const writers = 10
const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`)

interface StressResult {
  readonly verdict: Verdict
  /** Events committed by the writers, and how many of them were published before the held transaction ended. */
  readonly committed: number
  readonly publishedBeforeRelease: number
}

test('writers, savepoints, rollbacks and one transaction left open: nothing lost, duplicated or reordered, nobody waits for it', async () => {
  await using bed = await setUp({ partitions: 6 })
  const { verdict, committed, publishedBeforeRelease } = await stress(bed, openWindowReader, 20_000)
  console.log(
    `windows: ${committed} committed, ${publishedBeforeRelease} published while a transaction stayed open`,
  )
  expect(describeVerdict(verdict)).toEqual([])
  expect(committed).toBeGreaterThan(1_000)
  expect(publishedBeforeRelease).toBe(committed)
})

test('the same stress with a cursor of seq > last loses or reorders events: the check bites', async () => {
  await using bed = await setUp({ partitions: 6 })
  const { verdict } = await stress(bed, sequenceReader, 8_000)
  console.log(
    `seq > last: ${verdict.totals.lost} lost, ${verdict.totals.reordered} reordered of ${verdict.committed}`,
  )
  expect(verdict.totals.lost + verdict.totals.reordered).toBeGreaterThan(0)
})

/** Ten writers on twenty keys for a while, each transaction under its keys' row locks; judged by Apache's consumer. */
async function stress(bed: Bed, openReader: OpenReader, durationMs: number): Promise<StressResult> {
  await bed.pool.query('create table versions (key text primary key, version int not null)')
  await bed.pool.query('create table ledger (id uuid, key text, version int)')
  await bed.pool.query('insert into versions select unnest($1::text[]), 0', [keys])

  await using relay = createRelayReading(bed.options, openReader)
  await relay.start()
  const held = await bed.pool.connect()
  await held.query('begin')
  await write(held, bed.topic, 'held', 1)

  const until = performance.now() + durationMs
  await Promise.all(
    Array.from({ length: writers }, async () => {
      const client = await bed.pool.connect()
      while (performance.now() < until) await writeTransaction(client, bed.topic)
      client.release()
    }),
  )
  const { rows } = await bed.pool.query<{ committed: number }>(
    'select count(*)::int as committed from ledger',
  )
  const committed = rows[0]?.committed ?? 0
  await untilIdleAt(bed)
  const before = await bed.published()
  await held.query('commit')
  held.release()
  await untilIdleAt(bed)
  await relay.stop()

  const truth = await bed.pool.query<{ id: string; key: string; version: number }>(
    'select id, key, version from ledger',
  )
  return {
    verdict: judge({ committed: truth.rows, published: toSightings(await bed.published(), truth.rows) }),
    committed,
    publishedBeforeRelease: before.length,
  }
}

/** One transaction of up to three keys, with savepoints, some of them rolled back; a tenth is rolled back altogether. */
async function writeTransaction(client: Client | { query: Client['query'] }, topic: string): Promise<void> {
  const isolation = randomInt(10) === 0 ? 'repeatable read' : 'read committed'
  const chosen = [
    ...new Set(Array.from({ length: 1 + randomInt(3) }, () => keys[randomInt(keys.length)] ?? 'key-0')),
  ].sort()
  await client.query(`begin isolation level ${isolation}`)
  try {
    for (const key of chosen) {
      const { rows } = await client.query<{ version: number }>(
        'update versions set version = version + 1 where key = $1 returning version',
        [key],
      )
      const version = rows[0]?.version ?? 0
      if (randomInt(4) === 0) {
        await client.query('savepoint attempt')
        await write(client, topic, key, version)
        await client.query('rollback to attempt')
      }
      if (randomInt(4) === 0) await client.query('savepoint kept')
      await write(client, topic, key, version)
      if (randomInt(20) === 0) await client.query('select pg_sleep(0.02)')
    }
    await client.query(randomInt(10) === 0 ? 'rollback' : 'commit')
  } catch (error) {
    await client.query('rollback')
    // 40001: a REPEATABLE READ writer met a newer version of the row.
    if (!(error instanceof Error && 'code' in error && error.code === '40001')) throw error
  }
}

async function write(
  client: { query: Client['query'] },
  topic: string,
  key: string,
  version: number,
): Promise<void> {
  await client.query(
    `with event as (select outbox.emit('test', $1, 'test.happened', $2, jsonb_build_object('version', $3::int)) as id)
     insert into ledger select id, $2, $3 from event`,
    [topic, key, version],
  )
}
