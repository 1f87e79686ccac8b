import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { createTopic, setTopicConfig } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { channels } from '@oncebox/core'
import { createRelay, reshard } from '../src/index.js'
import { insertEvent, setUp, untilIdleAt, untilPublished, untilSeen, type Bed } from './bed.js'
import { createNamedTopic, withAdmin } from './topics.js'

const tooLarge = Buffer.alloc(5_000, 'x')
const small = { 'max.message.bytes': '4000' }
const raised = { 'max.message.bytes': '1048588' }

/** A topic that takes small events only, and key `poison` parked: one event refused, two behind it. */
async function setUpParked(): Promise<Bed> {
  const bed = await setUp()
  await setTopicConfig(bed.topic, small)
  await bed.emit(['poison'])
  await bed.emit(['poison'], tooLarge)
  await bed.emit(['poison', 'other', 'poison'])
  return bed
}

const statesOf = async (bed: Bed): Promise<string[]> => (await bed.letters()).map(({ state }) => state)

/** Resolves when so many letters were settled with this outcome. */
async function untilSettled(bed: Bed, outcome: string, count: number): Promise<void> {
  await new Promise<void>((resolve) => {
    let left = count
    const listener = (message: unknown): void => {
      const settled = message as { relay: string; outcome: string; letters: number[] }
      if (settled.relay !== bed.relayName || settled.outcome !== outcome) return
      left -= settled.letters.length
      if (left > 0) return
      channels.relayDeadLettersSettled.unsubscribe(listener)
      resolve()
    }
    channels.relayDeadLettersSettled.subscribe(listener)
  })
}

test('a requeued letter is published when its topic takes it, then those parked behind it, and the key is free', async () => {
  await using bed = await setUpParked()
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect(await statesOf(bed)).toEqual(['dead', 'parked', 'parked'])
  await setTopicConfig(bed.topic, raised)
  const settled = untilSettled(bed, 'published', 3)
  await bed.request('requeue', 'poison')
  await settled
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['poison'])
  await published
  expect(await statesOf(bed)).toEqual(['published', 'published', 'published'])
  expect((await bed.published()).filter(({ key }) => key === 'poison')).toHaveLength(5)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('the order of a key is kept while new events of it arrive all the time it is requeued', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  await bed.emit(['poison'], tooLarge)
  await bed.emit(Array.from({ length: 1_200 }, () => 'poison'))
  await using relay = createRelay({ ...bed.options, batch: { eventsMax: 100 } })
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  await setTopicConfig(bed.topic, raised)
  const writing = new AbortController()
  const written = (async () => {
    let events = 0
    for (; !writing.signal.aborted; events++) await bed.emit(['poison'])
    return events
  })()
  const settled = untilSettled(bed, 'published', 1_201)
  await bed.request('requeue')
  await settled
  writing.abort()
  const total = 1_201 + (await written)
  await expect.poll(async () => (await bed.published()).length, { timeout: 60_000 }).toBe(total)
  const letters = await bed.letters()
  expect(letters.length).toBeGreaterThan(1_201) // some came while it was parked
  expect(new Set(letters.map(({ state }) => state))).toEqual(new Set(['published']))
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a letter that is refused again stays, says why, and those behind it wait', async () => {
  await using bed = await setUpParked()
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  const failed = untilSettled(bed, 'failed', 1)
  await bed.request('requeue')
  await failed
  const [first, ...behind] = await bed.letters()
  expect(first).toMatchObject({ state: 'dead', code: 'KAFKA_RECORD_TOO_LARGE' })
  expect(behind.map(({ state }) => state)).toEqual(['requested', 'requested'])
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['other'])
  await published
  // Asked for once more, it goes.
  await setTopicConfig(bed.topic, raised)
  const settled = untilSettled(bed, 'published', 3)
  await bed.request('requeue')
  await settled
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a discarded letter is dropped for good, and its key goes on with the next one', async () => {
  await using bed = await setUpParked()
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  const [first] = await bed.letters()
  const settled = untilSettled(bed, 'published', 2)
  await bed.pool.query(`select outbox.request_dead_letters('discard', array[$1::bigint])`, [first?.number])
  await settled
  expect(await statesOf(bed)).toEqual(['discarded', 'published', 'published'])
  expect((await bed.published()).filter(({ key }) => key === 'poison')).toHaveLength(3)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('of several refused events of a key, each waits for a person of its own', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  for (const payload of [tooLarge, Buffer.from('{}'), tooLarge, Buffer.from('{}')])
    await bed.emit(['poison'], payload)
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  const [first] = await bed.letters()
  const settled = Promise.all([untilSettled(bed, 'failed', 1), untilSettled(bed, 'published', 1)])
  await bed.pool.query(`select outbox.request_dead_letters('discard', array[$1::bigint])`, [first?.number])
  await settled
  expect(await statesOf(bed)).toEqual(['discarded', 'published', 'dead', 'parked'])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('letters that only the broker refuses are found among those that are requeued with them', async () => {
  await using bed = await setUp({ relay: { poison: { default: 'skip' } } })
  const insert = `insert into outbox.events (bucket, id, source, topic, type, key, payload, occurred_at)
    values (0, outbox.uuid7(), 'test', $1, 'test.happened', $2, '{}', now() + $3::interval)`
  for (let n = 0; n < 20; n++)
    await bed.pool.query(insert, [bed.topic, `key-${n}`, n % 7 === 3 ? '9 days' : '2 days'])
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect(new Set(await statesOf(bed))).toEqual(new Set(['dead']))
  await setTopicConfig(bed.topic, { 'message.timestamp.after.max.ms': String(5 * 24 * 3_600_000) })
  const settled = Promise.all([untilSettled(bed, 'published', 17), untilSettled(bed, 'failed', 3)])
  await bed.request('requeue')
  await settled
  const dead = (await bed.letters()).filter(({ state }) => state === 'dead')
  expect(dead.map(({ key }) => key)).toEqual(['key-3', 'key-10', 'key-17'])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('letters outlive a reshard: whoever has their bucket now publishes them', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  const keys = Array.from({ length: 12 }, (_, n) => `key-${n}`)
  await bed.emit(keys, tooLarge)
  await bed.emit(keys)
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  await bed.request('discard', 'key-0')
  await reshard(bed.options, { shards: 4 })
  await bed.emit(keys)
  await setTopicConfig(bed.topic, raised)
  await expect.poll(async () => (await bed.letters()).length, { timeout: 30_000 }).toBe(35)
  const settled = untilSettled(bed, 'published', 33)
  await bed.request('requeue')
  await settled
  expect((await bed.published()).length).toBe(34)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('letters of a topic that is gone wait for it, hold nobody up, and go out when they are asked for again', async () => {
  await using bed = await setUp()
  const gone = await createTopic('gone', { config: small })
  await bed.pool.query(insertEvent, [gone, 'a', tooLarge])
  const said = new EventEmitter<{ warning: [object] }>()
  const warn = (fields: object): void => void said.emit('warning', fields)
  const logger = { info: () => undefined, warn, error: () => undefined }
  await using relay = createRelay({ ...bed.options, logger })
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  await withAdmin((admin) => admin.deleteTopics({ topics: [gone] }))
  const warning = once(said, 'warning')
  await bed.request('requeue')
  expect((await warning)[0]).toMatchObject({ code: 'RELAY_TOPIC_UNAVAILABLE', topic: gone })
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['other'])
  await published
  expect(relay.status).toMatchObject([{ state: 'publishing' }])
  expect(await statesOf(bed)).toEqual(['requested'])
  await untilSeen('relayIdle', bed.relayName)
  await createNamedTopic(gone)
  const settled = untilSettled(bed, 'published', 1)
  await bed.request('requeue')
  await settled
})

test('more letters of a topic that is gone than are remembered all go out, each once, when it is back', async () => {
  const letters = 1_600
  await using bed = await setUp()
  const gone = await createTopic('gone', { partitions: 1 })
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, partition, payload)
     select 0, outbox.uuid7(), 'test', $1, 'test.happened', 1, '{}' from generate_series(1, $2)`,
    [gone, letters],
  )
  await setTopicConfig(bed.topic, small)
  await bed.emit(['poison'], tooLarge)
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
  expect((await statesOf(bed)).filter((state) => state === 'dead')).toHaveLength(letters + 1)
  await withAdmin((admin) => admin.deleteTopics({ topics: [gone] }))
  await setTopicConfig(bed.topic, raised)
  // The letter of the other topic is the last that is asked for: every one before it has found its topic gone.
  const settled = untilSettled(bed, 'published', 1)
  await bed.request('requeue')
  await settled
  await createNamedTopic(gone, 2)
  const all = untilSettled(bed, 'published', letters)
  await bed.pool.query(`select outbox.request_dead_letters('requeue', '{1}')`)
  await all
  const records = await bed.published(gone)
  expect(records).toHaveLength(letters)
  expect(new Set(records.map(({ headers }) => headers.get('ce_id'))).size).toBe(letters)
})
