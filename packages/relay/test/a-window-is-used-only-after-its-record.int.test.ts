import { EventEmitter, once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { installFaultHandler } from '@oncebox/core'
import { createRelay } from '../src/index.js'
import { insertEvent, setUp, untilPublished, untilSeen } from './bed.js'

afterEach(() => installFaultHandler(undefined))

// Without the gate, an event is in Kafka that a crash of the database takes back.
test('a batch that is produced is not committed before the database has its window record', async () => {
  await using bed = await setUp()
  const points = new EventEmitter()
  installFaultHandler((name) => void points.emit(name))
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilSeen('relayIdle', bed.relayName)
  const holder = await bed.pool.connect()
  await holder.query('begin')
  // Holds up the insert of records, and no read of them.
  await holder.query('lock table outbox.windows in share row exclusive mode')
  const acked = once(points, 'relay.produce.acked')
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['a'])
  await acked
  // The transaction stays open for as long as the record is held up: EndTxn waits for it.
  let committed = false
  void published.then(() => (committed = true))
  for (let poll = 0; poll < 20; poll++) {
    await holder.query('select pg_sleep(0.01)')
    expect(committed).toBe(false)
  }
  await holder.query('rollback')
  holder.release()
  await published
  expect(await bed.published()).toHaveLength(1)
})

test('a record that is refused aborts its batch, which is then published once, under a new life', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilSeen('relayIdle', bed.relayName)
  let crashes = 1
  // Between the read of a window and its record: what crash recovery does to an unlogged table.
  installFaultHandler(async (name) => {
    if (name === 'relay.window.taken' && crashes-- > 0) await bed.pool.query('truncate outbox.life')
  })
  const doubt = untilSeen('relayReopening', bed.relayName)
  const published = untilPublished(bed.relayName, 2)
  await bed.emit(['a', 'b'])
  expect(await doubt).toMatchObject({
    error: { code: 'RELAY_LIFE_ENDED' },
  })
  await published
  expect(await bed.published()).toHaveLength(2)
})

// A record over a fresh connection, after a crash and under the new life that another relay began, would prove a snapshot that is worthless.
test('a record under another life than its window is refused', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilSeen('relayIdle', bed.relayName)
  let crashes = 1
  installFaultHandler(async (name) => {
    if (name === 'relay.window.taken' && crashes-- > 0)
      await bed.pool.query('truncate outbox.life; insert into outbox.life default values')
  })
  const doubt = untilSeen('relayReopening', bed.relayName)
  const published = untilPublished(bed.relayName, 1)
  await bed.emit(['a'])
  expect(await Promise.race([doubt, published])).toMatchObject({
    error: { code: 'RELAY_LIFE_ENDED' },
  })
  await published
  expect(await bed.published()).toHaveLength(1)
})

test('a life that ends while the relay idles is noticed by the next poll', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilSeen('relayIdle', bed.relayName)
  const doubt = untilSeen('relayReopening', bed.relayName)
  await bed.pool.query('truncate outbox.life')
  expect(await doubt).toMatchObject({ error: { code: 'RELAY_LIFE_ENDED' } })
})

// The process lives on, and another server answers that never had its last record: a lossy failover.
test('a record that is gone while the relay idles is noticed by the next poll, and the relay stops, typed', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['a'])
  await published
  const doubt = untilSeen('relayReopening', bed.relayName)
  await bed.pool.query('delete from outbox.windows where window_number > 0')
  expect(await doubt).toMatchObject({ error: { code: 'RELAY_LIFE_ENDED' } })
  await expect(relay.stopped).rejects.toMatchObject({ code: 'RELAY_HISTORY_DIVERGED' })
})

// The proof of a read comes while its batch is on its way: EndTxn waits for it.
test('events that are read behind a record that is gone are not committed', async () => {
  await using bed = await setUp()
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 1)
  await relay.start()
  await bed.emit(['a'])
  await published
  const doubt = untilSeen('relayReopening', bed.relayName)
  const client = await bed.pool.connect()
  await client.query('begin; delete from outbox.windows where window_number > 0')
  await client.query(insertEvent, [bed.topic, 'b', Buffer.from('{}')])
  await client.query('commit')
  client.release()
  expect(await doubt).toMatchObject({ error: { code: 'RELAY_LIFE_ENDED' } })
  await expect(relay.stopped).rejects.toMatchObject({ code: 'RELAY_HISTORY_DIVERGED' })
  expect((await bed.published()).map(({ key }) => key)).toEqual(['a'])
})
