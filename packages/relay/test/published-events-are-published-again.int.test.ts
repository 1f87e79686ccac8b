import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { describeVerdict, type TopicRecord } from '@internal/audit'
import { createTopic, setTopicConfig } from '@internal/stack'
import { replayedHeader, type FaultPoint } from '@oncebox/core'
import { createRelay, ReplayDesk, reshard, verify, type ReplayState } from '../src/index.js'
import {
  emitSteadily,
  insertEvent,
  setUp,
  startRelayProcess,
  untilIdleAt,
  untilPublished,
  type Bed,
} from './bed.js'
import { createNamedTopic, withAdmin } from './topics.js'

const keys = Array.from({ length: 30 }, (_, n) => `key-${n}`)
const times = (count: number): string[] => Array.from({ length: count }, () => keys).flat()

const replayed = (records: readonly TopicRecord[]): TopicRecord[] =>
  records.filter(({ headers }) => headers.has(replayedHeader))

const idsOf = (records: readonly TopicRecord[]): (string | null | undefined)[] =>
  records.map(({ headers }) => headers.get('ce_id'))

/** Looks until a replay is as it is waited for. */
async function untilState(
  desk: ReplayDesk,
  number: number,
  is: (state: ReplayState) => boolean = ({ state }) => state !== 'running',
): Promise<ReplayState> {
  let state = await desk.state(number)
  await expect
    .poll(async () => is((state = await desk.state(number))), { timeout: 60_000, interval: 50 })
    .toBe(true)
  return state
}

/** Publishes what is there, and stops. */
async function publishAll(bed: Bed): Promise<void> {
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await idle
}

const points: readonly FaultPoint[] = [
  'relay.replay.taken',
  'relay.produce.acked',
  'relay.endtxn.sent',
  'relay.replay.committed',
  'relay.replay.recorded',
]

test('each selected event is published once more, wherever the relay is killed, while new ones are published', async () => {
  await using bed = await setUp()
  await bed.emit(times(20))
  await publishAll(bed)
  const { rows } = await bed.pool.query<{ id: string }>(
    `select id from outbox.events where key = any ($1) order by events.seq`,
    [keys.slice(0, 20)],
  )
  await using writing = emitSteadily(bed, 1)
  await using desk = await ReplayDesk.open(bed.options.db)
  const number = await desk.request({ topics: [bed.topic], keys: keys.slice(0, 20) })
  let killed = 0
  for (const point of points) {
    const { signal, output } = await startRelayProcess(bed, {
      fault: `${point}@3:kill`,
      env: { ONCEBOX_BATCH_EVENTS_MAX: '20' },
    }).ended
    expect(signal, `${point}: ${output}`).toBe('SIGKILL')
    killed++
  }
  {
    await using relay = createRelay(bed.options)
    await relay.start()
    expect(await untilState(desk, number)).toMatchObject({ state: 'done', events: rows.length, refused: 0 })
    await writing.stop()
    await untilIdleAt(bed)
  }
  expect(killed).toBe(points.length)
  const records = await bed.published()
  const ids = idsOf(replayed(records))
  expect(ids).toHaveLength(rows.length)
  expect(new Set(ids)).toEqual(new Set(rows.map(({ id }) => id)))
  // The first publication is as it would be without: nothing lost, doubled or out of order.
  const firsts = records.filter(({ headers }) => !headers.has(replayedHeader))
  expect(describeVerdict(await bed.verdict(firsts))).toEqual([])
  expect(await verify(bed.options)).toMatchObject({
    ok: true,
    lost: { count: 0 },
    doubled: { count: 0 },
    reordered: { count: 0 },
  })
})

test('events go to another topic in their order, the newest of now not before their own turn', async () => {
  await using bed = await setUp()
  await bed.emit(times(2))
  await publishAll(bed)
  const copies = await createTopic('copies', { partitions: 1 })
  await bed.emit(['unpublished'])
  await using desk = await ReplayDesk.open(bed.options.db)
  const number = await desk.request({ since: new Date(0) }, copies)
  await using relay = createRelay(bed.options)
  await relay.start()
  const { events } = await untilState(desk, number)
  const records = await bed.published(copies)
  expect(records).toHaveLength(events)
  expect(events).toBeGreaterThanOrEqual(60)
  const { rows } = await bed.pool.query<{ id: string }>('select id from outbox.events order by events.seq')
  expect(idsOf(records)).toEqual(rows.slice(0, events).map(({ id }) => id))
  expect(idsOf(replayed(records))).toHaveLength(events)
  await untilIdleAt(bed)
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

test('what the topic does not take any more is left out and counted, and a topic that is gone holds up nobody', async () => {
  await using bed = await setUp()
  await bed.emit(['a'])
  await bed.emit(['b'], Buffer.alloc(5_000, 'x'))
  await bed.emit(['b', 'c'])
  await publishAll(bed)
  await setTopicConfig(bed.topic, { 'max.message.bytes': '4000' })
  const said = new EventEmitter<{ warning: [object] }>()
  const warn = (fields: object): void => void said.emit('warning', fields)
  await using relay = createRelay({ ...bed.options, logger: { info: () => undefined, warn, error: warn } })
  await relay.start()
  await using desk = await ReplayDesk.open(bed.options.db)
  const number = await desk.request({ topics: [bed.topic] })
  expect(await untilState(desk, number)).toMatchObject({ state: 'done', events: 3, refused: 1 })

  const gone = await createTopic('gone', { partitions: 1 })
  await withAdmin((admin) => admin.deleteTopics({ topics: [gone] }))
  const warning = once(said, 'warning')
  const late = await desk.request({ keys: ['a'] }, gone)
  expect((await warning)[0]).toMatchObject({ code: 'RELAY_TOPIC_UNAVAILABLE', topic: gone })
  const published = untilPublished(bed.relayName, 1)
  await bed.pool.query(insertEvent, [bed.topic, 'd', Buffer.from('{}')])
  await published
  await createNamedTopic(gone)
  expect(await untilState(desk, late)).toMatchObject({ state: 'done', events: 1 })
  expect(await bed.published(gone)).toHaveLength(1)
})

test('a replay that is called off ends, whether its topic is missing or it is in the middle, and the next one goes on', async () => {
  await using bed = await setUp({ relay: { batch: { eventsMax: 20 } } })
  await bed.emit(times(20))
  await publishAll(bed)
  await using desk = await ReplayDesk.open(bed.options.db)
  const said = new EventEmitter<{ warning: [object] }>()
  const warn = (fields: object): void => void said.emit('warning', fields)
  await using relay = createRelay({ ...bed.options, logger: { info: () => undefined, warn, error: warn } })
  const warning = once(said, 'warning')
  const mistyped = await desk.request({ topics: [bed.topic] }, 'no-such-topic')
  await relay.start()
  expect((await warning)[0]).toMatchObject({ code: 'RELAY_TOPIC_UNAVAILABLE' })
  // Three more batches than have to go out before it is called off.
  const begun = untilPublished(bed.relayName, 60)
  const next = await desk.request({ topics: [bed.topic] })
  await desk.cancel(mistyped)
  await begun
  await desk.cancel(next)
  const last = await desk.request({ keys: ['key-1'] })
  expect(await untilState(desk, last)).toMatchObject({ state: 'done', events: 20 })
  expect(await desk.state(mistyped)).toMatchObject({ state: 'cancelled', events: 0 })
  const { state, events } = await desk.state(next)
  expect(state).toBe('cancelled')
  expect(events).toBeLessThan(600)
  expect(replayed(await bed.published())).toHaveLength(events + 20)
  await desk.cancel(last)
  expect(await desk.state(last)).toMatchObject({ state: 'done' })
  await expect(desk.cancel(99)).rejects.toMatchObject({ code: 'RELAY_REPLAY_UNKNOWN' })
})

test('a replay that a reshard cuts off says so; asked for again, every shard does its part', async () => {
  await using bed = await setUp()
  await bed.emit(times(10))
  await publishAll(bed)
  await using desk = await ReplayDesk.open(bed.options.db)
  const number = await desk.request({ topics: [bed.topic] }, 'no-such-topic')
  await reshard(bed.options, { shards: 3 })
  expect(await desk.state(number)).toMatchObject({ state: 'interrupted', events: 0 })
  const again = await desk.request({ topics: [bed.topic] })
  await using relay = createRelay(bed.options)
  await relay.start()
  expect(await untilState(desk, again)).toMatchObject({ state: 'done', events: 300 })
  expect((await desk.state(again)).shards).toHaveLength(3)
  const ids = idsOf(replayed(await bed.published()))
  expect(ids).toHaveLength(300)
  expect(new Set(ids).size).toBe(300)
})
