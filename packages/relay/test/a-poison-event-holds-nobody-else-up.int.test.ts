import { expect, test } from 'vitest'
import { createTopic, setTopicConfig } from '@internal/stack'
import { describeVerdict } from '@internal/audit'
import { channels } from '@oncebox/core'
import { createRelay, reshard } from '../src/index.js'
import { insertEvent, setUp, untilIdleAt, untilPublished, untilSeen, type Bed } from './bed.js'

const tooLarge = Buffer.alloc(5_000, 'x')
const small = { 'max.message.bytes': '4000' }
const keys = Array.from({ length: 1_000 }, (_, n) => `key-${n}`)

/** Publishes everything that there is, and counts the transactions. */
async function publishAll(bed: Bed, options: Partial<Bed['options']> = {}): Promise<number> {
  let transactions = 0
  const count = (message: unknown): void => {
    if ((message as { relay: string }).relay === bed.relayName) transactions++
  }
  channels.relayPublished.subscribe(count)
  await using relay = createRelay({ ...bed.options, ...options })
  const idle = untilIdleAt(bed)
  await relay.start()
  await Promise.race([idle, relay.stopped])
  channels.relayPublished.unsubscribe(count)
  return transactions
}

async function emitAll(bed: Bed, list: readonly string[]): Promise<void> {
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select outbox.bucket(key), outbox.uuid7(), 'test', $1, 'test.happened', key, '{}'
       from unnest($2::text[]) with ordinality as k(key, place) order by place`,
    [bed.topic, list],
  )
}

/** Dated so far ahead that only the broker finds out. */
async function emitFuture(bed: Bed, key: string): Promise<void> {
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload, occurred_at)
     values (outbox.bucket($2), outbox.uuid7(), 'test', $1, 'test.happened', $2, '{}', now() + interval '2 days')`,
    [bed.topic, key],
  )
}

test('one poison key among 1,000 others: its events are set aside, and the others need not one transaction more', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  await emitAll(bed, [...keys, 'poison', ...keys])
  await bed.emit(['poison'], tooLarge)
  await emitAll(bed, [...keys, 'poison', ...keys, 'poison', ...keys])
  const transactions = await publishAll(bed, { batch: { eventsMax: 1_000 } })
  const rows = 5 * keys.length + 4
  expect(transactions).toBe(Math.ceil(rows / 1_000))
  expect((await bed.letters()).map(({ key, state }) => [key, state])).toEqual([
    ['poison', 'dead'],
    ['poison', 'parked'],
    ['poison', 'parked'],
  ])
  expect((await bed.published()).length).toBe(rows - 3)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('with the choice skip, a poison event is set aside alone, and later events of its key go on', async () => {
  await using bed = await setUp({ relay: { poison: { default: 'skip' } } })
  await setTopicConfig(bed.topic, small)
  await bed.emit(['a'], tooLarge)
  await bed.emit(['a', 'a'])
  await publishAll(bed)
  expect((await bed.letters()).map(({ state }) => state)).toEqual(['dead'])
  expect((await bed.published()).map(({ key }) => key)).toEqual(['a', 'a'])
})

test('a poison event without a key parks nobody', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  const insert = `insert into outbox.events (bucket, id, source, topic, type, payload) values (0, outbox.uuid7(), 'test', $1, 'test.happened', $2)`
  for (const payload of [tooLarge, Buffer.from('{}'), tooLarge])
    await bed.pool.query(insert, [bed.topic, payload])
  await publishAll(bed)
  expect((await bed.letters()).map(({ state }) => state)).toEqual(['dead', 'dead'])
  expect(await bed.published()).toHaveLength(1)
})

test('what only the broker refuses is found by halves: exactly the refused events are set aside', async () => {
  await using bed = await setUp()
  const refused = ['poison-1', 'poison-2', 'poison-3']
  for (const key of refused) {
    await emitAll(bed, keys.slice(0, 150))
    await emitFuture(bed, key)
  }
  await emitAll(bed, keys.slice(0, 50))
  const transactions = await publishAll(bed)
  expect((await bed.letters()).map(({ key, code }) => [key, code])).toEqual(
    refused.map((key) => [key, 'KAFKA_RECORD_REFUSED']),
  )
  // Batches double behind a refused event: about two times the logarithm of the rows each.
  expect(transactions).toBeLessThan(3 * 2 * 9)
  expect((await bed.published()).length).toBe(500)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a limit that is lowered under a running relay refuses what is too large by now, and nothing else', async () => {
  await using bed = await setUp({ partitions: 1 })
  await using relay = createRelay(bed.options)
  const first = untilPublished(bed.relayName, 2)
  await relay.start()
  await bed.emit(['a'])
  await bed.emit(['b'], tooLarge)
  await first
  await setTopicConfig(bed.topic, small)
  const rest = untilPublished(bed.relayName, 40)
  const transaction = await bed.pool.connect()
  await transaction.query('begin')
  for (let n = 0; n < 40; n++) {
    await transaction.query(insertEvent, [bed.topic, `key-${n}`, Buffer.from('{}')])
    if (n % 20 === 10) await transaction.query(insertEvent, [bed.topic, `poison-${n}`, tooLarge])
  }
  await transaction.query('commit')
  transaction.release()
  await rest
  expect((await bed.letters()).map(({ key, code }) => [key, code])).toEqual([
    ['poison-10', 'KAFKA_RECORD_TOO_LARGE'],
    ['poison-30', 'KAFKA_RECORD_TOO_LARGE'],
  ])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a shard that waits for its event holds up no other: the relay runs on', async () => {
  await using bed = await setUp()
  const ledger = await createTopic('ledger', { config: small })
  await reshard(bed.options, { shards: 2, lanes: [{ topics: [ledger] }] })
  await bed.pool.query(insertEvent, [ledger, 'a', tooLarge])
  await bed.emit(keys.slice(0, 100))
  await using relay = createRelay({ ...bed.options, poison: { topics: { [ledger]: 'stop' } } })
  const halted = untilSeen('relayHalted', bed.relayName)
  const published = untilPublished(bed.relayName, 100)
  await relay.start()
  await Promise.all([halted, published])
  expect(relay.state).toBe('running')
  expect(relay.status.map(({ state, why }) => [state, why?.topic])).toEqual([
    ['publishing', undefined],
    ['publishing', undefined],
    ['halted', ledger],
  ])
  const more = untilPublished(bed.relayName, 100)
  await bed.emit(keys.slice(0, 100))
  await more
})

test('a shard parks no more keys than it may: it waits, typed, and goes on when letters are discarded', async () => {
  await using bed = await setUp({ relay: { poison: { parkedKeysMax: 2 } } })
  await setTopicConfig(bed.topic, small)
  for (const key of ['a', 'b', 'c']) await bed.emit([key], tooLarge)
  await bed.emit(['d'])
  const halted = untilSeen('relayHalted', bed.relayName)
  await using relay = createRelay(bed.options)
  await relay.start()
  expect(await halted).toMatchObject({ error: { code: 'RELAY_PARKED_KEYS_FULL' } })
  expect((await bed.letters()).map(({ key }) => key)).toEqual(['a', 'b'])
  const published = untilPublished(bed.relayName, 1)
  await bed.request('discard', 'a')
  await published
  expect((await bed.letters()).map(({ key, state }) => [key, state])).toEqual([
    ['a', 'discarded'],
    ['b', 'dead'],
    ['c', 'dead'],
  ])
})

test('parked keys are remembered by whoever opens the shard next; with more than it may park, it parks no other until they are dealt with', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  await bed.emit(['a', 'b'], tooLarge)
  await publishAll(bed)
  await bed.emit(['a', 'c'])
  await publishAll(bed)
  expect((await bed.letters()).map(({ key, state }) => [key, state])).toEqual([
    ['a', 'dead'],
    ['b', 'dead'],
    ['a', 'parked'],
  ])
  expect((await bed.published()).map(({ key }) => key)).toEqual(['c'])
  await using relay = createRelay({ ...bed.options, poison: { parkedKeysMax: 1 } })
  const halted = untilSeen('relayHalted', bed.relayName)
  await relay.start()
  await bed.emit(['d'], tooLarge)
  expect(await halted).toMatchObject({ error: { code: 'RELAY_PARKED_KEYS_FULL' } })
  expect(relay.status).toMatchObject([{ state: 'halted', why: { code: 'RELAY_PARKED_KEYS_FULL' } }])
  const resumed = untilSeen('relayResumed', bed.relayName)
  await bed.request('discard')
  await resumed
  expect((await bed.letters()).map(({ key, state }) => [key, state])).toEqual([
    ['a', 'discarded'],
    ['b', 'discarded'],
    ['a', 'discarded'],
    ['d', 'dead'],
  ])
})
