import { afterEach, expect, test } from 'vitest'
import { installFaultHandler } from '@oncebox/core'
import { createRelay } from '../src/index.js'
import { setUp, untilIdleAt, untilPublished } from './bed.js'

afterEach(() => installFaultHandler(undefined))

// Reading ahead speeds up a drain. Under a trickle it doubles the latency: rows fetched early wait for the transaction before.
test('the next page is read while a full batch is on its way, and not while a batch that was not full is', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 10 } } })
  let pagesRead = 0
  let batchesSent = 0
  // For each batch, as its EndTxn goes out: how many pages were in hand beyond it.
  const ahead: number[] = []
  installFaultHandler(async (name) => {
    if (name === 'relay.window.taken') pagesRead++
    // Time for a page to be read, if one is going to be.
    if (name === 'relay.produce.acked') await bed.pool.query('select pg_sleep(0.05)')
    if (name === 'relay.endtxn.sent') ahead.push(pagesRead - ++batchesSent)
  })
  await using relay = createRelay(bed.options)
  await relay.start()
  await untilIdleAt(bed)
  batchesSent = 0 // position 0 was a transaction, too
  ahead.length = 0

  for (const key of ['a', 'b', 'c']) {
    const published = untilPublished(bed.relayName, 1)
    await bed.emit([key])
    await published
  }
  expect(ahead).toEqual([0, 0, 0])

  ahead.length = 0
  const drained = untilPublished(bed.relayName, 50)
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select 0, outbox.uuid7(), 'test', $1, 'test.happened', 'k', '{}' from generate_series(1, 50)`,
    [bed.topic],
  )
  await drained
  expect(ahead).toHaveLength(5)
  expect(ahead[0]).toBe(1)
})
