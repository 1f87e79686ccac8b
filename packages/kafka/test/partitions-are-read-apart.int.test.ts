import { startProxy, type Proxy } from '@internal/proxy'
import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { delay } from '@oncebox/core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ask, follow } from './following.js'
import { numbered, recordsOf, setUp, type Fixture } from './fixture.js'
import { moment } from './moment.js'

let proxy: Proxy
let kafka: PrivateKafka

beforeAll(async () => {
  kafka = await startPrivateKafka({
    proxiedAt: async (upstream) => (proxy = await startProxy({ protocol: 'kafka', upstream })).port,
  })
})
afterAll(async () => {
  await kafka[Symbol.asyncDispose]()
  await proxy[Symbol.asyncDispose]()
})

const throughProxy = (partitions = 1): Promise<Fixture> =>
  setUp({ partitions, brokers: [`${proxy.host}:${proxy.port}`], judgeBrokers: kafka.brokers })

/** A topic with values `<partition>-0` to `<partition>-<count - 1>` in each partition, in record batches of some 50. */
async function filled(partitions: number, count: number): Promise<Fixture> {
  const fixture = await throughProxy(partitions)
  const session = await fixture.open()
  await session.publish({
    partitions: Array.from({ length: partitions }, (_, partition) =>
      recordsOf(fixture.topic, partition, 1_024, numbered(`${partition}`, count)),
    ),
  })
  await session.close()
  await fixture.open() // waits for the markers
  return fixture
}

test('a batch that was fetched before a seek is not delivered after it', async () => {
  const { client, topic } = await filled(1, 20)
  const { batches, loop, untilOffset, values } = follow(client)
  using rule = proxy.on({ answer: 'Fetch' }, 'hold')
  loop.assign([{ topic, partition: 0, offset: 0n }])
  const answer = await rule.fired // on its way, from offset 0
  loop.seek({ topic, partition: 0 }, 15n)
  await answer.deliver()
  await untilOffset(21n)

  expect(values()).toEqual(numbered('0', 20).slice(15))
  expect(batches[0]).toMatchObject({ fetchedOffset: 15n })
})

test('a batch that waited when a seek came is not delivered after it, and the one in hand stays alone', async () => {
  const { client, topic } = await filled(2, 2_000)
  const finish = moment()
  const { batches, loop, untilOffset } = follow(client, {
    partitionBytesMax: 1_024,
    handle: async ({ partition }) => {
      if (partition === 0) await finish.reached
    },
  })
  // The third request is for partition 1 alone: a batch of partition 0 is in hand, and one waits.
  using third = proxy.on({ request: 'Fetch', nth: 3 }, 'forward')
  loop.assign([0, 1].map((partition) => ({ topic, partition, offset: partition === 0 ? 0n : 2_001n })))
  await third.fired
  loop.seek({ topic, partition: 0 }, 1_500n)
  finish.reach()
  await untilOffset(2_001n)

  const own = batches.filter(({ partition }) => partition === 0)
  expect(own.map(({ fetchedOffset }) => fetchedOffset).slice(0, 2)).toEqual([0n, 1_500n])
})

test('a paused partition delivers nothing, not even what was on its way, and goes on where it was', async () => {
  const { client, topic } = await filled(2, 20)
  const at = { topic, partition: 0 }
  const { loop, untilOffset, values } = follow(client)
  using rule = proxy.on({ answer: 'Fetch' }, 'hold')
  loop.assign([0, 1].map((partition) => ({ topic, partition, offset: 0n })))
  const answer = await rule.fired
  loop.pause([at])
  await answer.deliver()
  await untilOffset(21n, 1)
  expect(values(0)).toEqual([])
  expect(loop.progress(at)).toMatchObject({ position: 0n, isPaused: true })

  loop.resume([at])
  await untilOffset(21n, 0)
  expect(values(0)).toEqual(numbered('0', 20))
})

test('a partition that is given back delivers nothing more, and can be assigned anew', async () => {
  const { client, topic } = await filled(1, 20)
  const at = { topic, partition: 0 }
  const { loop, untilOffset, values } = follow(client)
  using rule = proxy.on({ answer: 'Fetch' }, 'hold')
  loop.assign([{ ...at, offset: 0n }])
  const answer = await rule.fired
  loop.unassign([at])
  expect(loop.progress(at)).toBeUndefined()
  loop.assign([{ ...at, offset: 18n }])
  await answer.deliver()
  await untilOffset(21n)
  expect(values()).toEqual(numbered('0', 20).slice(18))
})

test('a slow handler holds its own partition only, with one batch waiting behind it', async () => {
  const { client, topic } = await filled(4, 2_000)
  const finish = moment()
  const { batches, loop, untilOffset } = follow(client, {
    partitionBytesMax: 2_048,
    waitMsMax: 5_000, // as long as a broker may wait: the busy partitions must not be fetched at this pace
    handle: async ({ partition }) => {
      if (partition === 0) await finish.reached
    },
  })
  loop.assign([0, 1, 2, 3].map((partition) => ({ topic, partition, offset: 0n })))
  await Promise.all([1, 2, 3].map((partition) => untilOffset(2_001n, partition)))
  expect(batches.filter(({ partition }) => partition === 0)).toEqual([])

  finish.reach()
  await untilOffset(2_001n, 0)
})

test('a partition where nothing happens does not set the pace of a busy one', async () => {
  const { client, topic } = await filled(2, 1_000)
  const { loop, untilOffset } = follow(client, {
    partitionBytesMax: 1_024,
    waitMsMax: 5_000, // one fetch in so long, whenever a batch waits while the broker is asked for the other partition
    handle: () => delay(5),
  })
  const since = performance.now()
  loop.assign([0, 1].map((partition) => ({ topic, partition, offset: partition === 0 ? 0n : 1_001n })))
  await untilOffset(1_001n, 0)
  expect(performance.now() - since).toBeLessThan(10_000)
})

test('as many partitions are handled at once as the owner wants, each of them one batch at a time', async () => {
  const { client, topic } = await filled(6, 500)
  const inHand = new Map<number, number>()
  let most = 0
  const { loop, untilOffset } = follow(client, {
    partitionBytesMax: 2_048,
    concurrency: 2,
    handle: async ({ partition }) => {
      inHand.set(partition, (inHand.get(partition) ?? 0) + 1)
      most = Math.max(
        most,
        [...inHand.values()].reduce((sum, count) => sum + count, 0),
      )
      expect(inHand.get(partition)).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      inHand.set(partition, 0)
    },
  })
  loop.assign([0, 1, 2, 3, 4, 5].map((partition) => ({ topic, partition, offset: 0n })))
  await Promise.all([0, 1, 2, 3, 4, 5].map((partition) => untilOffset(501n, partition)))
  expect(most).toBe(2)
})

test('what was fetched and not handled stays within its bound', async () => {
  const { client, topic } = await filled(8, 2_000)
  const all = [0, 1, 2, 3, 4, 5, 6, 7]
  const tooMany = moment()
  let inHand = 0
  const { loop, untilOffset } = follow(client, {
    partitionBytesMax: 4_096,
    bytesMax: 8_192,
    bufferBytesMax: 8_192, // two partitions' worth: whoever has them in hand keeps the others from being fetched
    handle: async ({ nextOffset }) => {
      if ((inHand += 1) > 3) tooMany.reach()
      if (nextOffset < 1_000n) await Promise.race([tooMany.reached, delay(100)])
      inHand -= 1
    },
  })
  let isTooMany = false
  void tooMany.reached.then(() => (isTooMany = true))
  loop.assign(all.map((partition) => ({ topic, partition, offset: 0n })))
  await Promise.all(all.map((partition) => untilOffset(2_001n, partition)))
  expect(isTooMany).toBe(false)
})

test('stop() ends a fetch that the broker holds back, waits for the batch in hand, and delivers nothing more', async () => {
  const { client, topic } = await filled(1, 2_000)
  const begun = moment()
  const finish = moment()
  const { batches, loop } = follow(client, {
    partitionBytesMax: 1_024,
    handle: async () => {
      begun.reach()
      await finish.reached
    },
  })
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await begun.reached
  let isStopped = false
  const stopped = loop.stop().then(() => (isStopped = true))
  await new Promise((resolve) => setImmediate(resolve))
  expect(isStopped).toBe(false)
  finish.reach()
  await stopped
  expect(batches).toHaveLength(1)

  const idle = follow(client, { waitMsMax: 10_000 })
  using waiting = proxy.on({ request: 'Fetch' }, 'forward')
  idle.loop.assign([{ topic, partition: 0, offset: 2_001n }])
  await waiting.fired
  const since = performance.now()
  await idle.loop.stop()
  expect(performance.now() - since).toBeLessThan(2_000)
})

test('a handler that throws halts its partition, and the owner decides', async () => {
  const { client, topic } = await filled(2, 20)
  const failure = new Error('no')
  let fails = true
  const { halted, loop, until, untilOffset, values } = follow(client, {
    handle: async ({ partition }) => {
      if (fails && partition === 0) throw failure
    },
  })
  loop.assign([0, 1].map((partition) => ({ topic, partition, offset: 0n })))
  await until(() => halted.length > 0)
  await untilOffset(21n, 1)
  expect(halted).toEqual([{ at: { topic, partition: 0 }, error: failure }])
  expect(loop.progress({ topic, partition: 0 })).toBeUndefined()

  fails = false
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await untilOffset(21n, 0)
  expect(values(0)).toEqual(numbered('0', 20))
})

test('an offset that the log does not hold halts the partition, and nothing is reset', async () => {
  const { client, topic } = await filled(1, 20)
  await ask(kafka.brokers, async (admin) => {
    await admin.fetchTopicOffsets(topic) // loads the metadata that the next call takes for granted
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '10' }] })
  })
  const { batches, halted, loop, until } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 5n }])
  await until(() => halted.length === 1)
  loop.assign([{ topic, partition: 0, offset: 22n }])
  await until(() => halted.length === 2)

  const code = 'KAFKA_OFFSET_OUT_OF_RANGE'
  expect(halted).toMatchObject([
    { error: { code, details: { offset: '5' } } },
    { error: { code, details: { offset: '22' } } },
  ])
  expect(batches).toEqual([])
})
