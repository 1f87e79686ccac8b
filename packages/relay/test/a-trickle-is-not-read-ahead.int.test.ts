import { afterEach, expect, test } from 'vitest'
import { installFaultHandler } from '@oncebox/core'
import { openWindowReader, type OpenReader } from '../src/publishing/publish-shard.js'
import { createRelayReading } from '../src/relay.js'
import { setUp, untilIdleAt, untilPublished } from './bed.js'

afterEach(() => installFaultHandler(undefined))

// Reading ahead speeds up a drain. Under a trickle it doubles the latency: rows fetched early wait for the transaction before.
test('the next page is read while a full batch is on its way, and not while a batch that was not full is', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 10 } } })
  let reads = 0
  const counting: OpenReader = (client, options) => {
    const reader = openWindowReader(client, options)
    return {
      read: async (cursor) => {
        reads++
        return await reader.read(cursor)
      },
    }
  }
  let sentAt = 0
  const readsDuringBatch: number[] = []
  installFaultHandler(async (name) => {
    if (name === 'relay.produce.sent') sentAt = reads
    // Long enough for a read to begin, if one is going to: the other side of the same event loop gets its turn.
    if (name === 'relay.produce.acked') await bed.pool.query('select pg_sleep(0.05)')
    if (name === 'relay.endtxn.sent') readsDuringBatch.push(reads - sentAt)
  })
  await using relay = createRelayReading(bed.options, counting)
  await relay.start()
  await untilIdleAt(bed)
  readsDuringBatch.length = 0 // position 0 was a transaction, too

  for (const key of ['a', 'b', 'c']) {
    const published = untilPublished(bed.relayName, 1)
    await bed.emit([key])
    await published
  }
  expect(readsDuringBatch).toEqual([0, 0, 0])

  readsDuringBatch.length = 0
  const drained = untilPublished(bed.relayName, 50)
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select 0, outbox.uuid7(), 'test', $1, 'test.happened', 'k', '{}' from generate_series(1, 50)`,
    [bed.topic],
  )
  await drained
  expect(readsDuringBatch).toHaveLength(5)
  expect(readsDuringBatch.slice(0, 4).every((ahead) => ahead > 0)).toBe(true)
})
