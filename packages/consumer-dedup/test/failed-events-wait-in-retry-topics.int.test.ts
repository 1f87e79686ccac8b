import { databaseModes, modesUnderTest } from '@internal/contracts/consumers'
import { randomName } from '@internal/stack'
import { createConsumer, retryTopics } from '@oncebox/consumer-dedup'
import { connectKafka, readTopicOffsets, type ConsumedRecord } from '@oncebox/kafka'
import { describe, expect, test } from 'vitest'
import { Bed, headerOf } from './contract/bed.js'
import {
  brokers,
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  eventually,
  happens,
  publish,
  withProducer,
} from './fixture.js'
import { effectConsumer, openPool } from './positions.js'

const partitions = 2
const modes = modesUnderTest.filter(
  ({ takesRetryTopics, mode, driver }) => takesRetryTopics && driver !== (mode === 'inbox' ? 'knex' : 'pg'),
)

/** Publishes records again, as they are. */
async function publishAgain(topic: string, records: readonly ConsumedRecord[]): Promise<void> {
  await withProducer(brokers(), (producer) =>
    producer.send({
      topic,
      messages: records.map(({ key, value, headers }) => ({
        key,
        value,
        headers: Object.fromEntries(headers),
      })),
    }),
  )
}

/** Whether the positions of a topic are at its end. */
async function isRead({ pool }: Bed, topic: string): Promise<boolean> {
  await using client = await connectKafka({ brokers: brokers() })
  const { partitions: logs } = await readTopicOffsets(client, topic)
  const { rows } = await pool.query<{ partition: number; next: string }>(
    'select partition, next from inbox.positions where topic = $1',
    [topic],
  )
  return rows.every(({ partition, next }) => logs.get(partition)?.lastStableOffset === BigInt(next))
}

describe.concurrent.each(modes)('a consumer in mode $name', (mode) => {
  const isGuarded = mode.mode === 'inbox' || mode.mode === 'position'

  test(
    'runs a failed event from topic to topic, after each delay; behind the last it is a dead letter of where it came in',
    { timeout: 120_000 },
    async () => {
      await using bed = await Bed.open(mode, partitions)
      await using _relay = await bed.startRelay()
      const sent = events(20)
      const [always, twice, refused] = [3, 7, 11].map((value) => sent[value]?.id ?? '')
      await bed.publish(sent)
      const delaysMs = [250, 400]
      const consumer = bed.start({
        batches: mode.mode === 'inbox',
        tiers: { delaysMs, inPlace: { attemptsMax: 1 } },
        failing: { 3: -1, 7: 2, 11: 'excluded' },
      })
      const retryTopic = (tier: number): string => `${bed.orders.name}.retry.${bed.name}.${tier}`
      const rest = sent.filter(({ id }) => id !== always && id !== refused)
      await bed.untilDone(rest)
      await eventually(async () => (await bed.deadLetters()).length === 2)

      // In a batch it was tried before it was tried alone.
      const tries = [...new Map((await bed.tries(always ?? '')).map((one) => [one.attempt, one])).values()]
      const place = tries[0]?.place
      expect(tries.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
      expect(tries.map((one) => one.place.topic)).toEqual([bed.orders.name, retryTopic(1), retryTopic(2)])
      expect(tries.map(({ origin }) => origin)).toEqual([null, place, place])
      const [first = 0, second = 0, third = 0] = tries.map(({ atMs }) => atMs)
      // Date.now() has no fractions.
      expect(second - first).toBeGreaterThanOrEqual(249)
      expect(third - second).toBeGreaterThanOrEqual(399)
      const letters = await bed.letters()
      expect(letters.find(({ id }) => id === always)).toEqual({ id: always, attempts: 3, place })
      expect(letters.find(({ id }) => id === refused)?.attempts).toBe(1)

      // What was delivered before is delivered again: the event as it came in where ids are known, and its copies.
      const triesBefore = (await bed.tries(twice ?? '')).length
      if (mode.knowsIds) await bed.publish(sent.slice(7, 8))
      if (isGuarded) {
        const copies = await bed.records(retryTopic(1), partitions)
        expect(copies.map((copy) => headerOf(copy, 'oncebox-retry-original-id'))).toContain(twice)
        expect(copies.map((copy) => headerOf(copy, 'oncebox-retry-reason'))).toContain('value 7 fails')
        await publishAgain(retryTopic(1), copies)
        await eventually(() => isRead(bed, retryTopic(1)))
        await eventually(() => isRead(bed, bed.orders.name))
        expect(await bed.tries(twice ?? '')).toHaveLength(triesBefore)
        expect((await bed.pool.query('select from inbox.retries')).rowCount).toBe(0)
      }
      await consumer.started
      consumer.kill('SIGTERM')
      expect(await consumer.ended).toBe(null)
      expect(compare(rest, await bed.effects())).toEqual({ lost: 0, doubled: 0 })
      expect(await bed.deadLetters()).toHaveLength(2)
    },
  )

  test('sends a failed event on once, whatever kills it there', { timeout: 120_000 }, async () => {
    await using bed = await Bed.open(mode, 1)
    await using _relay = await bed.startRelay()
    const points = [
      'consumer.forwarding',
      ...(isGuarded ? ['consumer.commit.sent', 'consumer.commit.acked'] : ['consumer.offset.committed']),
    ]
    const sent = events(3 * (points.length + 1))
    // The first of each three fails once in each process.
    const failing = Object.fromEntries(sent.map(({ value }) => [value, value % 3 === 0 ? 1 : 0]))
    const delaysMs = [100, 100, 100, 100, 100, 100]
    const conduct = {
      failing,
      tiers: { delaysMs, inPlace: { attemptsMax: 1 } },
      options: { batch: { eventsMax: 1 } },
    }
    for (const [turn, point] of points.entries()) {
      await bed.publish(sent.slice(3 * turn, 3 * (turn + 1)))
      expect(await bed.start(conduct, `${point}@1:kill`).ended).toBe('SIGKILL')
    }
    await bed.publish(sent.slice(-3))
    const last = bed.start(conduct)
    await bed.untilDone(sent)
    await last.started
    last.kill('SIGTERM')
    expect(await last.ended).toBe(null)
    const found = await bed.effects()
    expect(compare(sent, found).lost).toBe(0)
    const copies = await Promise.all(
      delaysMs.map(async (_, index) =>
        (await bed.records(`${bed.orders.name}.retry.${bed.name}.${index + 1}`)).map((copy) =>
          [index, headerOf(copy, 'oncebox-retry-original-id')].join(),
        ),
      ),
    ).then((all) => all.flat())
    expect(copies.length).toBeGreaterThanOrEqual(points.length + 1)
    expect(await bed.deadLetters()).toEqual([])
    if (mode.mayDouble) return
    expect(compare(sent, found).doubled).toBe(0)
    expect(new Set(copies).size).toBe(copies.length)
  })
})

describe.concurrent.each(databaseModes)('a consumer in mode $name', (mode) => {
  test(
    'of a database that was restored to a time before the event was sent on handles it anew, and not its copy too',
    { timeout: 60_000 },
    async () => {
      await using bed = await Bed.open(mode, 1)
      await using _relay = await bed.startRelay()
      const retry = { delaysMs: [100], inPlace: { attemptsMax: 1 } }
      const sent = events(5)
      await bed.publish(sent)
      const oneByOne = { batch: { eventsMax: 1 } }
      const before = bed.start({ failing: { 2: 1 }, tiers: retry, options: oneByOne })
      await bed.untilDone(sent)
      await before.started
      before.kill('SIGTERM')
      await before.ended

      // It has nothing of all that, its positions neither.
      await using restored = await createInboxDatabase()
      const pool = openPool(restored.url)
      const consumer = effectConsumer(bed.orders, pool, {
        mode: mode.mode === 'position' ? 'position' : 'inbox',
        name: bed.name,
        outbox: { source: 'billing' },
        retry: retryTopics(retry),
      })
      const copy = happens('consumerDuplicate', bed.name)
      await consumer.start()
      expect(await copy).toMatchObject({ id: sent[2]?.id, topic: `${bed.orders.name}.retry.${bed.name}.1` })
      await eventually(async () => compare(sent, await effects(pool)).lost === 0)
      await consumer.stop()
      expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
      await pool.end()
    },
  )
})

test(
  'while an event waits the others go on, those of its key too; it holds no place of a partition, and no stop',
  { timeout: 30_000 },
  async () => {
    const orders = await createOrders()
    const name = randomName('billing')
    const consumer = createConsumer({
      group: name,
      topics: [orders],
      kafka: { brokers: brokers() },
      mode: 'at-least-once',
      concurrency: 1,
      retry: retryTopics({ delaysMs: [600_000], inPlace: { attemptsMax: 1 } }),
    })
    consumer.on('order.placed', ({ payload }) =>
      payload.value === 0 ? Promise.reject(new Error('fails')) : Promise.resolve(),
    )
    const forwarded = happens('consumerForwarded', name)
    await publish(orders, events(1))
    await consumer.start()
    expect(await forwarded).toMatchObject({ to: `${orders.name}.retry.${name}.1`, attempt: 1 })
    // In the group's own topic of the tier, not read yet: one event and the marker of its transaction.
    await eventually(async () =>
      (await consumer.lag()).some(({ topic, lag }) => topic !== orders.name && lag === 2),
    )
    const others = happens('consumerHandled', name, { count: 3 })
    await publish(orders, events(3, { keys: 1, from: 1 }))
    await others
    const since = performance.now()
    await consumer.stop()
    expect(performance.now() - since).toBeLessThan(5_000)
    expect(consumer.counts).toMatchObject({ handled: 3, forwarded: 1, deadLetters: 0 })
  },
)
