import { expect, test } from 'vitest'
import { setTopicConfig } from '@internal/stack'
import type { FaultPoint } from '@oncebox/core'
import { describeVerdict } from '@internal/audit'
import { createRelay } from '../src/index.js'
import { setUp, startRelayProcess, untilIdleAt, type Bed } from './bed.js'

const tooLarge = Buffer.alloc(5_000, 'x')
const small = { 'max.message.bytes': '4000' }
const raised = { 'max.message.bytes': '1048588' }
const keys = ['a', 'b', 'poison', 'c', 'poison', 'd']

async function publishAll(bed: Bed): Promise<void> {
  await using relay = createRelay(bed.options)
  const idle = untilIdleAt(bed)
  await relay.start()
  await Promise.race([idle, relay.stopped])
}

async function kill(bed: Bed, fault: string): Promise<void> {
  const { signal, output } = await startRelayProcess(bed, {
    fault,
    env: { ONCEBOX_BATCH_EVENTS_MAX: '3' },
  }).ended
  expect(signal, `${fault}: ${output}`).toBe('SIGKILL')
}

const settingAside: readonly FaultPoint[] = [
  'relay.poison.found',
  'relay.poison.recorded',
  'relay.produce.acked',
  'relay.endtxn.sent',
]

test('a relay process killed at each point of setting aside: every event has its letter or its place in the topic', async () => {
  await using bed = await setUp()
  await setTopicConfig(bed.topic, small)
  let poison = 0
  for (const point of settingAside) {
    await bed.emit(['poison'], tooLarge)
    await bed.emit(keys)
    poison += 3
    await kill(bed, `${point}:kill`)
  }
  await publishAll(bed)
  const letters = await bed.letters()
  // The first one was refused; every later event of its key waits behind it.
  expect(letters.map(({ state }) => state)).toEqual([
    'dead',
    ...Array.from({ length: poison - 1 }, () => 'parked'),
  ])
  expect(describeVerdict(await bed.verdict())).toEqual([])
  await setTopicConfig(bed.topic, raised)
  await bed.request('requeue')
  await publishAll(bed)
  expect(new Set((await bed.letters()).map(({ state }) => state))).toEqual(new Set(['published']))
  expect((await bed.published()).length).toBe(settingAside.length * (keys.length + 1))
  expect(describeVerdict(await bed.verdict())).toEqual([])
})

// What is requeued is committed before any batch of the outbox.
const requeuing: readonly string[] = [
  'relay.requeue.taken:kill',
  'relay.requeue.committed:kill',
  'relay.requeue.recorded:kill',
  'relay.produce.acked:kill',
  'relay.endtxn.sent:kill',
  'relay.endtxn.acked:kill',
]

test.for(requeuing)(
  'a relay process killed at %s while it requeues: nothing lost, doubled or reordered',
  async (fault) => {
    await using bed = await setUp()
    await setTopicConfig(bed.topic, small)
    await bed.emit(['poison'], tooLarge)
    await bed.emit(['poison', 'poison'])
    await publishAll(bed)
    await setTopicConfig(bed.topic, raised)
    await bed.request('requeue')
    await kill(bed, fault)
    await bed.emit(keys)
    await publishAll(bed)
    expect((await bed.letters()).slice(0, 3).map(({ state }) => state)).toEqual([
      'published',
      'published',
      'published',
    ])
    await publishAll(bed) // what came while the key was not free yet
    expect((await bed.published()).length).toBe(3 + keys.length)
    expect(describeVerdict(await bed.verdict())).toEqual([])
  },
)

test.for(['relay.discard.taken:kill', 'relay.discard.recorded:kill'])(
  'a relay process killed at %s while it discards: the letter is dropped, and its key goes on',
  async (fault) => {
    await using bed = await setUp()
    await setTopicConfig(bed.topic, small)
    await bed.emit(['poison'], tooLarge)
    await bed.emit(['poison', 'poison'])
    await publishAll(bed)
    const [first] = await bed.letters()
    await bed.pool.query(`select outbox.request_dead_letters('discard', array[$1::bigint])`, [first?.number])
    await kill(bed, fault)
    await publishAll(bed)
    expect((await bed.letters()).map(({ state }) => state)).toEqual(['discarded', 'published', 'published'])
    expect((await bed.published()).length).toBe(2)
    expect(describeVerdict(await bed.verdict())).toEqual([])
  },
)
