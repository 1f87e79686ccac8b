import { expect, test } from 'vitest'
import { randomName, setTopicConfig } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { insertEvent, setUp, untilIdleAt, untilPublished, untilSeen, type Bed } from './bed.js'
import { createNamedTopic, withAdmin } from './topics.js'

/** An event of key `poison`, with columns of its own. */
async function emitPoison(bed: Bed, columns: Readonly<Record<string, unknown>>): Promise<string> {
  const row = { topic: bed.topic, partition: null, payload: '{}', occurred_at: new Date(), ...columns }
  const { rows } = await bed.pool.query<{ id: string }>(
    `insert into outbox.events (bucket, id, source, topic, type, key, partition, payload, occurred_at)
     values (outbox.bucket('poison'), outbox.uuid7(), 'test', $1, 'test.happened', 'poison', $2, $3, $4) returning id`,
    [row.topic, row.partition, row.payload, row.occurred_at],
  )
  return rows[0]?.id ?? ''
}

const twoDays = new Date(Date.now() + 2 * 24 * 3_600_000)

// What plain SQL can emit, and no topic can take: by column, what the dead letter says.
test.for<[string, Readonly<Record<string, unknown>>, string, string]>([
  [
    'for a partition that its topic does not have',
    { partition: 2147483647 },
    'RELAY_EVENT_UNPUBLISHABLE',
    'partition 2147483647',
  ],
  ['dated infinity', { occurred_at: 'infinity' }, 'RELAY_EVENT_UNPUBLISHABLE', '0000 to 9999'],
  ['dated -infinity', { occurred_at: '-infinity' }, 'RELAY_EVENT_UNPUBLISHABLE', '0000 to 9999'],
  ['dated 12000', { occurred_at: '12000-01-01' }, 'RELAY_EVENT_UNPUBLISHABLE', '0000 to 9999'],
  ['dated 4000 BC', { occurred_at: '4000-01-01 BC' }, 'RELAY_EVENT_UNPUBLISHABLE', '0000 to 9999'],
  [
    'dated beyond what its topic takes',
    { occurred_at: twoDays },
    'KAFKA_RECORD_REFUSED',
    'INVALID_TIMESTAMP',
  ],
  ['too large', { payload: Buffer.alloc(1_100_000) }, 'KAFKA_RECORD_TOO_LARGE', 'the topic takes'],
  [
    'for a topic of a name that cannot be',
    { topic: 'a topic!' },
    'RELAY_EVENT_UNPUBLISHABLE',
    'topic of that name',
  ],
  [
    'for a topic of ten thousand letters',
    { topic: 'x'.repeat(10_000) },
    'RELAY_EVENT_UNPUBLISHABLE',
    'topic of that name',
  ],
  [
    "for a topic of Kafka's own",
    { topic: '__consumer_offsets' },
    'RELAY_EVENT_UNPUBLISHABLE',
    'topic of that name',
  ],
])(
  'an event %s gets a dead letter that says so, and the others are published',
  async ([, columns, code, reason]) => {
    await using bed = await setUp()
    await bed.emit(['before'])
    await emitPoison(bed, columns)
    await bed.emit(['after'])
    await using relay = createRelay(bed.options)
    const idle = untilIdleAt(bed)
    await relay.start()
    await idle
    expect(await bed.letters()).toMatchObject([{ key: 'poison', state: 'dead', code }])
    expect((await bed.letters())[0]?.reason).toContain(reason)
    expect((await bed.published()).map(({ key }) => key)).toEqual(expect.arrayContaining(['after', 'before']))
    expect(relay.status).toMatchObject([{ state: 'publishing' }])
  },
)

test('an event for the topic with the positions cannot forge one', async () => {
  await using bed = await setUp()
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     values (0, outbox.uuid7(), 'test', $1, 'test.happened', 'position', '{"v":1}')`,
    [`${bed.relayName}.progress`],
  )
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect(await bed.letters()).toMatchObject([{ key: 'position', code: 'RELAY_EVENT_UNPUBLISHABLE' }])
  await relay.stop()
  await using again = createRelay(bed.options)
  const reopened = untilIdleAt(bed)
  await again.start()
  await reopened
  expect(again.status).toMatchObject([{ state: 'publishing' }])
})

test('a key that is longer than an index takes is parked like any other', async () => {
  await using bed = await setUp({ relay: { poison: { default: 'park-key' } } })
  const long = 'k'.repeat(20_000)
  await bed.pool.query(insertEvent, [bed.topic, long, Buffer.alloc(1_100_000)])
  await bed.emit([long, 'other', long])
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect((await bed.letters()).map(({ state }) => state)).toEqual(['dead', 'parked', 'parked'])
  expect((await bed.published()).map(({ key }) => key)).toEqual(['other'])
})

test('with the choice stop, a shard waits at the event, names it, and goes on by itself when the topic takes it', async () => {
  await using bed = await setUp({ partitions: 1 })
  await setTopicConfig(bed.topic, { 'max.message.bytes': '2000' })
  await bed.emit(['a'])
  const id = await emitPoison(bed, { payload: Buffer.alloc(5_000, 'x') })
  await bed.emit(['b'])
  await using relay = createRelay({ ...bed.options, poison: { topics: { [bed.topic]: 'stop' } } })
  const halted = untilSeen('relayHalted', bed.relayName)
  const first = untilPublished(bed.relayName, 1)
  await relay.start()
  await first
  expect(await halted).toMatchObject({ shard: 0, error: { code: 'RELAY_EVENT_UNPUBLISHABLE' } })
  const why = { code: 'RELAY_EVENT_UNPUBLISHABLE', topic: bed.topic, key: 'poison', eventId: id }
  expect(relay.status).toMatchObject([{ shard: 0, state: 'halted', why }])
  expect((await bed.published()).map(({ key }) => key)).toEqual(['a'])
  const rest = untilPublished(bed.relayName, 2)
  const resumed = untilSeen('relayResumed', bed.relayName)
  await setTopicConfig(bed.topic, { 'max.message.bytes': '1048588' })
  await Promise.all([rest, resumed])
  expect(relay.status).toMatchObject([{ state: 'publishing' }])
  expect(relay.status[0]?.why).toBeUndefined()
  expect((await bed.published()).map(({ key }) => key)).toEqual(['a', 'poison', 'b'])
  expect(await bed.letters()).toEqual([])
})

test('with the choice stop, an event that the broker refuses is waited for, too', async () => {
  await using bed = await setUp({ partitions: 1, relay: { poison: { default: 'stop' } } })
  await bed.emit(['a'])
  const id = await emitPoison(bed, { occurred_at: twoDays })
  await bed.emit(['b'])
  await using relay = createRelay(bed.options)
  const halted = untilSeen('relayHalted', bed.relayName)
  await relay.start()
  expect(await halted).toMatchObject({ error: { code: 'RELAY_EVENT_UNPUBLISHABLE', details: { id } } })
  expect((await bed.published()).map(({ key }) => key)).toEqual(['a'])
  const rest = untilPublished(bed.relayName, 2)
  await setTopicConfig(bed.topic, { 'message.timestamp.after.max.ms': String(7 * 24 * 3_600_000) })
  await rest
  expect((await bed.published()).map(({ key }) => key)).toEqual(['a', 'poison', 'b'])
})

test('a topic that gets more partitions takes events for them at once, from a relay that knew it smaller', async () => {
  await using bed = await setUp({ partitions: 1 })
  await using relay = createRelay(bed.options)
  const first = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['a'])
  await first
  await withAdmin((admin) => admin.createPartitions({ topicPartitions: [{ topic: bed.topic, count: 3 }] }))
  const second = untilPublished(bed.relayName, 1)
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, partition, payload)
     values (0, outbox.uuid7(), 'test', $1, 'test.happened', 'b', 2, '{}')`,
    [bed.topic],
  )
  await Promise.race([second, relay.stopped])
  expect((await bed.published()).map(({ partition }) => partition)).toEqual([0, 2])
})

test('a topic that does not exist yet halts its shard, typed, and loses nothing: it goes on by itself', async () => {
  await using bed = await setUp()
  const late = randomName('late')
  await bed.emit(['before'])
  await bed.pool.query(insertEvent, [late, 'a', Buffer.from('{}')])
  await bed.emit(['b'])
  await using relay = createRelay(bed.options)
  const before = untilPublished(bed.relayName, 1)
  const halted = untilSeen('relayHalted', bed.relayName)
  await relay.start()
  expect(await halted).toMatchObject({ error: { code: 'RELAY_TOPIC_UNAVAILABLE' } })
  expect(relay.status).toMatchObject([
    { state: 'halted', why: { topic: late, remedy: expect.stringContaining('create the topic') as string } },
  ])
  await before
  const resumed = untilSeen('relayResumed', bed.relayName)
  const rest = untilPublished(bed.relayName, 2)
  await createNamedTopic(late)
  await Promise.all([resumed, rest])
  expect(await bed.published()).toHaveLength(2)
  expect(relay.state).toBe('running')
  const { rows } = await bed.pool.query<{ epochs: number }>(
    'select count(*)::int as epochs from outbox.claims',
  )
  expect(rows, 'it keeps what it holds while it waits').toEqual([{ epochs: 1 }])
})

test("events of many sizes, tombstones, keyless ones and the service's own headers arrive as they were emitted", async () => {
  await using bed = await setUp()
  const insert = `insert into outbox.events (bucket, id, source, topic, type, key, headers, payload) values (0, outbox.uuid7(), 'test', $1, 'test.happened', $2, $3, $4)`
  await bed.pool.query(insert, [bed.topic, 'tombstone', null, null])
  await bed.pool.query(insert, [bed.topic, null, null, Buffer.from('keyless')])
  await bed.pool.query(insert, [
    bed.topic,
    'headers',
    { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', é: 'ü' },
    Buffer.from('h'),
  ])
  await bed.pool.query(insert, [bed.topic, 'text', { 'content-type': 'text/plain' }, Buffer.from('t')])
  await bed.pool.query(insert, [bed.topic, 'large', null, Buffer.alloc(900_000, 'y')])
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 5)
  await relay.start()
  await published
  const records = new Map((await bed.published()).map((record) => [record.key, record]))
  expect(records.get('tombstone')?.value).toBeNull()
  expect(records.get(null)?.value?.toString()).toBe('keyless')
  expect(records.get('headers')?.headers.get('traceparent')).toContain('00-0af7')
  expect(records.get('headers')?.headers.get('é')).toBe('ü')
  expect(records.get('text')?.headers.get('content-type')).toBe('text/plain')
  expect(records.get('large')?.value).toHaveLength(900_000)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})
