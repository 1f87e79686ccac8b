import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, untilPublished } from './bed.js'

test('committed events arrive once, in order per key, with their envelope', async () => {
  await using bed = await setUp()
  await bed.emit(['a', 'b', 'a'], Buffer.from('{"n":1}'))
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 4)
  await relay.start()
  await bed.emit(['c'])
  await published
  expect(describeVerdict(await bed.verdict())).toEqual([])
  const [first] = await bed.published()
  expect(first?.headers.get('ce_specversion')).toBe('1.0')
  expect(first?.headers.get('ce_source')).toBe('test')
  expect(first?.headers.get('ce_type')).toBe('test.happened')
  expect(first?.headers.get('content-type')).toBe('application/json')
  expect(Math.abs(Date.parse(first?.headers.get('ce_time') ?? '') - (first?.timestampMs ?? 0))).toBe(0)
})

test('a restart goes on where the last one ended', async () => {
  await using bed = await setUp()
  for (let round = 0; round < 3; round++) {
    await using relay = createRelay(bed.options)
    const published = untilPublished(bed.relayName, 5)
    await relay.start()
    await bed.emit(['a', 'b', 'c', 'a', 'b'])
    await published
  }
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(await bed.published()).toHaveLength(15)
})

test('a rolled back event is never seen', async () => {
  await using bed = await setUp()
  const client = await bed.pool.connect()
  await client.query('begin')
  await client.query(`select outbox.emit('test', $1, 'test.happened', 'a', '{"gone":true}')`, [bed.topic])
  await client.query('rollback')
  client.release()
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['a'])
  await published
  const records = await bed.published()
  expect(records.map(({ value }) => value?.toString())).toEqual(['{}'])
})

test('a backlog larger than a page is published in order, in several batches', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 100 } } })
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select outbox.bucket((n % 7)::text), outbox.uuid7(), 'test', $1, 'test.happened', (n % 7)::text, '{}' from generate_series(1, 2500) n`,
    [bed.topic],
  )
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 2_500)
  await relay.start()
  await published
  expect(describeVerdict(await bed.verdict())).toEqual([])
})
