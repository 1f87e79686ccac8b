import { expect, test } from 'vitest'
import { channels } from '@oncebox/core'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, untilPublished, type Bed } from './bed.js'

// A bound on events alone would let 5,000 events of a megabyte into one batch.
test('a batch ends at its bytes, and an event that is larger than the bound passes alone', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 1_000, bytesMax: 10_000 } } })
  await fill(bed, 90, 1_000)
  await fill(bed, 1, 50_000)
  await fill(bed, 10, 1_000)
  const batches = await drain(bed, 101)
  // 1,000 bytes of payload and the fixed cost of a row: the eighth row is the first to begin below 10,000 and end above.
  expect(Math.max(...batches)).toBe(8)
  expect(batches.reduce((sum, events) => sum + events, 0)).toBe(101)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a batch ends at its events', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 7 } } })
  await fill(bed, 30, 10)
  expect(await drain(bed, 30)).toEqual([7, 7, 7, 7, 2])
})

// The relay works out from the bytes whether a page was cut: counted too high, a window would never seem complete.
test('tombstones below the bytes of a batch end their window', async () => {
  await using bed = await setUp({ relay: { batch: { bytesMax: 1_000 } } })
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key)
     select 0, outbox.uuid7(), 'test', $1, 'test.happened', 'k' from generate_series(1, 3)`,
    [bed.topic],
  )
  const complete: boolean[] = []
  const listener = (message: unknown): void => {
    const published = message as { relay: string; position: { complete: boolean } }
    if (published.relay === bed.relayName) complete.push(published.position.complete)
  }
  channels.relayPublished.subscribe(listener)
  await drain(bed, 3).finally(() => channels.relayPublished.unsubscribe(listener))
  expect(complete).toEqual([true])
})

const fill = async (bed: Bed, events: number, bytes: number): Promise<unknown> =>
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     select 0, outbox.uuid7(), 'test', $1, 'test.happened', 'k', convert_to(repeat('x', $3::int), 'UTF8') from generate_series(1, $2::int)`,
    [bed.topic, events, bytes],
  )

/** Publishes what is there; the events of each batch. */
async function drain(bed: Bed, events: number): Promise<number[]> {
  const batches: number[] = []
  const listener = (message: unknown): void => {
    const published = message as { relay: string; events: number }
    if (published.relay === bed.relayName) batches.push(published.events)
  }
  channels.relayPublished.subscribe(listener)
  try {
    await using relay = createRelay(bed.options)
    const published = untilPublished(bed.relayName, events)
    await relay.start()
    await published
    return batches
  } finally {
    channels.relayPublished.unsubscribe(listener)
  }
}
