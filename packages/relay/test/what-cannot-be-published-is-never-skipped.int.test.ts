import { expect, test } from 'vitest'
import { Kafka, logLevel } from 'kafkajs'
import { createTopic, randomName, sharedStack } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { insertEvent, setUp, untilPublished, untilSeen } from './bed.js'

test('an event that its topic cannot take stops the relay, typed, and names the event', async () => {
  await using bed = await setUp()
  const small = await createTopic('small', { config: { 'max.message.bytes': '2000' } })
  await bed.emit(['a'])
  await bed.pool.query(insertEvent, [small, 'poison', Buffer.alloc(5_000, 'x')])
  const { rows } = await bed.pool.query<{ id: string }>(`select id from outbox.events where key = 'poison'`)
  const relay = createRelay(bed.options)
  await relay.start()
  await expect(relay.stopped).rejects.toMatchObject({
    code: 'RELAY_EVENT_UNPUBLISHABLE',
    details: { id: rows[0]?.id, topic: small },
  })
  expect(await bed.published()).toEqual([])
})

test('an event for a partition that its topic does not have stops the relay, typed', async () => {
  await using bed = await setUp()
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, partition, payload)
     values (0, outbox.uuid7(), 'test', $1, 'test.happened', 'a', 2147483647, '{}')`,
    [bed.topic],
  )
  const relay = createRelay(bed.options)
  await relay.start()
  await expect(relay.stopped).rejects.toMatchObject({
    code: 'RELAY_EVENT_UNPUBLISHABLE',
    cause: { message: expect.stringContaining('partition 2147483647') as string },
  })
})

test('an event dated beyond what its topic takes stops the relay, typed, instead of being tried for ever', async () => {
  await using bed = await setUp()
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload, occurred_at)
     values (0, outbox.uuid7(), 'test', $1, 'test.happened', 'a', '{}', now() + interval '2 days')`,
    [bed.topic],
  )
  const relay = createRelay(bed.options)
  await relay.start()
  await expect(relay.stopped).rejects.toMatchObject({ code: 'KAFKA_RECORD_REFUSED' })
})

test.for(['infinity', '-infinity', '12000-01-01', '4000-01-01 BC'])(
  'an event dated %s, which no CloudEvents time can name, stops the relay, typed, instead of being tried for ever',
  async (date) => {
    await using bed = await setUp()
    await bed.pool.query(
      `insert into outbox.events (bucket, id, source, topic, type, key, payload, occurred_at)
       values (0, outbox.uuid7(), 'test', $1, 'test.happened', 'a', '{}', $2)`,
      [bed.topic, date],
    )
    const { rows } = await bed.pool.query<{ id: string }>('select id from outbox.events')
    await using relay = createRelay(bed.options)
    const reopened = untilSeen('relayReopening', bed.relayName).then((doubt) => {
      throw new Error('it is tried again', { cause: doubt })
    })
    await relay.start()
    await expect(Promise.race([relay.stopped, reopened])).rejects.toMatchObject({
      code: 'RELAY_EVENT_UNPUBLISHABLE',
      details: { id: rows[0]?.id },
    })
  },
)

test('a topic that gets more partitions takes events for them at once, from a relay that knew it smaller', async () => {
  await using bed = await setUp({ partitions: 1 })
  await using relay = createRelay(bed.options)
  const first = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['a'])
  await first
  const admin = new Kafka({
    clientId: 'test',
    brokers: [...sharedStack().kafka.brokers],
    logLevel: logLevel.NOTHING,
  }).admin()
  await admin.connect()
  await admin.createPartitions({ topicPartitions: [{ topic: bed.topic, count: 3 }] })
  await admin.disconnect()
  const second = untilPublished(bed.relayName, 1)
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, partition, payload)
     values (0, outbox.uuid7(), 'test', $1, 'test.happened', 'b', 2, '{}')`,
    [bed.topic],
  )
  await Promise.race([second, relay.stopped])
  expect((await bed.published()).map(({ partition }) => partition)).toEqual([0, 2])
})

test('a topic that does not exist yet halts publishing and loses nothing: it goes on by itself', async () => {
  await using bed = await setUp()
  const late = randomName('late')
  await bed.pool.query(insertEvent, [late, 'a', Buffer.from('{}')])
  await bed.emit(['b'])
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 2)
  const doubt = untilSeen('relayReopening', bed.relayName)
  await relay.start()
  expect(await doubt).toMatchObject({ error: { code: 'RELAY_TOPIC_UNAVAILABLE' } })
  const admin = new Kafka({
    clientId: 'test',
    brokers: [...sharedStack().kafka.brokers],
    logLevel: logLevel.NOTHING,
  }).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: late, numPartitions: 1, replicationFactor: 1 }] })
  await admin.disconnect()
  await published
  expect(await bed.published()).toHaveLength(1)
  expect(relay.state).toBe('running')
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
