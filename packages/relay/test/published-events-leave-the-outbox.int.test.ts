import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import { createRelay, reshard } from '../src/index.js'
import {
  fastRotation,
  keepLedger,
  rowsLeft,
  setUp,
  timesEmptied,
  untilIdleAt,
  untilPublished,
} from './bed.js'

const patient = { timeout: 60_000 }

test('events are gone when they are published, and each shard goes on from where it was, however often its records were emptied', async () => {
  await using bed = await setUp({ relay: fastRotation })
  await keepLedger(bed)
  await reshard(bed.options, { shards: 3, lanes: [{ topics: ['never used'] }] })
  for (let life = 1; life <= 3; life++) {
    await using relay = createRelay(bed.options)
    const published = untilPublished(bed.relayName, 40)
    await relay.start()
    // Two keys: of four shards, two at least have nothing to publish.
    for (let n = 0; n < 20; n++) await bed.emit(['a', 'b'])
    await published
    await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
    const before = await timesEmptied(bed, 'windows')
    const emitted = async (): Promise<number> => {
      await bed.emit(['a', 'b', 'c'])
      return await timesEmptied(bed, 'windows')
    }
    await expect.poll(emitted, patient).toBeGreaterThan(before + 4)
    // Idle polls tell of any shard; that nothing is left tells of all.
    await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
  }
  expect((await bed.pool.query('select from outbox.windows where window_number = 0')).rows).toEqual([])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('an outbox in which nothing happens is left alone', async () => {
  // Window records and heartbeats stay within a slot.
  const rotation = { ...fastRotation.rotation, slotBytes: 4_194_304 }
  await using bed = await setUp({ relay: { rotation } })
  await using relay = createRelay(bed.options)
  await relay.start()
  await bed.emit(['a'])
  await expect.poll(async () => await rowsLeft(bed), patient).toBe(0)
  const state = async (): Promise<string> => {
    const { rows } = await bed.pool.query(
      `select (select count(*) from outbox.windows) as records, (select count(*) from outbox.rotations) as rotations`,
    )
    return JSON.stringify(rows)
  }
  // What was asked for before the last slot was emptied is still answered. A poll is at most 50 ms behind the one before,
  // and so is a look at the slots.
  const isAtRest = async (): Promise<boolean> => {
    const before = await state()
    for (let polls = 0; polls < 20; polls++) await untilIdleAt(bed)
    return (await state()) === before
  }
  await expect.poll(isAtRest, patient).toBe(true)
  expect(await isAtRest()).toBe(true)
})

test('heartbeats are emptied, too', async () => {
  await using bed = await setUp({ relay: { rotation: { ...fastRotation.rotation, slotBytes: 65_536 } } })
  await bed.pool.query(
    `insert into outbox.heartbeats (relay, holder, lease_ms, at)
     select 'r', 'of long ago', 600, now() - interval '3 hours' from generate_series(1, 100)`,
  )
  // Half an hour in a slot, and an hour until it may be emptied, are over.
  await bed.pool.query(
    `insert into outbox.rotations (relation, slot, what, at) values ('heartbeats', 1, 'advanced', now() - interval '2 hours')`,
  )
  await using relay = createRelay(bed.options)
  await relay.start()
  const slot = async (): Promise<unknown> =>
    (await bed.pool.query(`select pg_sequence_last_value('outbox.heartbeat_slot') as slot`)).rows[0]
  await expect.poll(slot, patient).toEqual({ slot: '2' })
  await bed.pool.query(
    `update outbox.rotations set at = at - interval '1 hour' where relation = 'heartbeats'`,
  )
  const left = async (): Promise<unknown> =>
    (await bed.pool.query(`select distinct slot from outbox.heartbeats`)).rows
  await expect.poll(left, patient).toEqual([{ slot: 2 }])
  expect(relay.shards).toEqual([0])
})
