import { expect, test } from 'vitest'
import { describeVerdict } from '@internal/audit'
import type { FaultPoint } from '@oncebox/core'
import { createRelay, reshard } from '../src/index.js'
import { emitSteadily, setUp, startRelayProcess, untilPublished } from './bed.js'

test('relays that share the shards lose, double and reorder nothing while these become 4, 3 in two lanes, and 1', async () => {
  await using bed = await setUp()
  await using first = createRelay(bed.options)
  await using second = createRelay(bed.options)
  await Promise.all([first.start(), second.start()])
  await using writing = emitSteadily(bed)
  const onProgress: string[] = []
  for (const target of [{ shards: 4 }, { shards: 2, lanes: [{ topics: ['other'] }] }, { shards: 1 }]) {
    await writing.more(300)
    const report = await reshard(bed.options, target, { onProgress: (line) => onProgress.push(line) })
    expect(report).toMatchObject({ changed: true })
    await expect
      .poll(() => first.shards.length + second.shards.length, { timeout: 30_000 })
      .toBe(report.shards)
    if (report.shards === 4) expect([first.shards.length, second.shards.length]).toEqual([2, 2])
    await untilPublished(bed.relayName, 100)
  }
  await writing.stop()
  await expect.poll(async () => (await bed.published()).length, { timeout: 60_000 }).toBe(writing.events)
  expect(describeVerdict(await bed.verdict())).toEqual([])
  expect(onProgress).toContain('the shards of map 4 have begun')
  expect(await reshard(bed.options, { shards: 1 })).toEqual({ generation: 4, shards: 1, changed: false })
})

const points: readonly FaultPoint[] = [
  'relay.reshard.fenced',
  'relay.reshard.recorded',
  'relay.reshard.closed',
]

test.each(points)(
  'a process killed at %s while it closes the old shards is followed by another one',
  async (point) => {
    await using bed = await setUp()
    await bed.emit(Array.from({ length: 200 }, (_, n) => `key-${n % 20}`))
    await reshard(bed.options, { shards: 3 }) // nobody runs: closed here
    const killed = startRelayProcess(bed, { fault: `${point}:kill` })
    await killed.untilSaid('shard opened')
    await using writing = emitSteadily(bed)
    await writing.more(50)
    const resharding = reshard(bed.options, { shards: 2 })
    expect(await killed.ended).toMatchObject({ signal: 'SIGKILL' })
    await using next = createRelay(bed.options)
    await next.start()
    expect(await resharding).toMatchObject({ generation: 3, shards: 2 })
    await writing.more(50)
    await writing.stop()
    const total = 200 + writing.events
    await expect.poll(async () => (await bed.published()).length, { timeout: 60_000 }).toBe(total)
    expect(describeVerdict(await bed.verdict())).toEqual([])
  },
)

test('a shard map that was recorded and not carried out is carried out by the next start', async () => {
  await using bed = await setUp()
  await bed.emit(['a', 'b'])
  await using relay = createRelay(bed.options)
  await relay.start()
  await relay.stop()
  await bed.pool.query('insert into outbox.shard_map (generation, map) select 2, map from outbox.shard_map')
  await bed.emit(['a', 'c'])
  await relay.start()
  await bed.emit(['a'])
  await expect.poll(async () => (await bed.published()).length, { timeout: 60_000 }).toBe(5)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('a topic in a lane of its own holds nobody else up when it does not exist', async () => {
  await using bed = await setUp()
  await reshard(bed.options, { shards: 1, lanes: [{ topics: ['missing'] }] })
  await using relay = createRelay(bed.options)
  const published = untilPublished(bed.relayName, 20)
  await bed.pool.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     values (1, outbox.uuid7(), 'test', 'missing', 'test.happened', 'k', '{}')`,
  )
  await bed.emit(Array.from({ length: 20 }, (_, n) => `key-${n}`))
  await relay.start()
  await published
  expect((await bed.published()).length).toBe(20)
})

test('wrong shards are refused with a sentence', async () => {
  await using bed = await setUp()
  const refused = { code: 'RELAY_OPTIONS_INVALID' }
  await expect(reshard(bed.options, { shards: 0 })).rejects.toMatchObject(refused)
  await expect(reshard(bed.options, { shards: 1.5 })).rejects.toMatchObject(refused)
  await expect(reshard(bed.options, { shards: 300 })).rejects.toMatchObject(refused)
  const twice = { shards: 1, lanes: [{ topics: ['a'] }, { topics: ['a'] }] }
  await expect(reshard(bed.options, twice)).rejects.toMatchObject(refused)
})
