/** The promises of inbox mode, one body for every driver. */
import { randomName, type TestDatabase } from '@internal/stack'
import { createConsumer, PermanentError, type DatabaseConsumer } from '@oncebox/consumer-dedup'
import { collectConsumerMetrics } from '@oncebox/consumer-dedup/metrics'
import { installFaultHandler, type Database } from '@oncebox/core'
import type { TransactionHandle } from '@oncebox/outbox'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Driver } from './adapters.js'
import {
  billing,
  brokers,
  compare,
  createInboxDatabase,
  createOrders,
  effects,
  events,
  happens,
  publish,
  withProducer,
  type Sent,
} from './fixture.js'

type Orders = Awaited<ReturnType<typeof createOrders>>

export function inboxBody<Tx extends TransactionHandle>(driver: Driver<Tx>): void {
  describe(`a consumer in inbox mode on ${driver.name}`, () => {
    let database: TestDatabase
    let pool: pg.Pool
    let opened: { readonly db: Database<Tx>; close(): Promise<void> }
    const running: DatabaseConsumer<Tx, readonly [Orders]>[] = []

    beforeAll(async () => {
      database = await createInboxDatabase()
      pool = new pg.Pool({ connectionString: database.url, max: 2 })
      opened = driver.open(database.url)
    })
    afterEach(async () => {
      installFaultHandler(undefined)
      await Promise.all(running.splice(0).map((consumer) => consumer.stop()))
      await pool.query('truncate effects')
    })
    afterAll(async () => {
      await opened?.close()
      await pool?.end()
      await database?.drop()
    })

    const consumerOf = (
      orders: Orders,
      options: { attemptsMax?: number; deadLetterTopic?: string } = {},
    ): DatabaseConsumer<Tx, readonly [Orders]> => {
      const { attemptsMax = 3, deadLetterTopic } = options
      const consumer = createConsumer({
        group: randomName('group'),
        topics: [orders],
        db: opened.db,
        kafka: { brokers: brokers() },
        mode: 'inbox',
        retry: { attemptsMax, backoff: { minMs: 5, maxMs: 20 } },
        ...(deadLetterTopic === undefined ? {} : { deadLetterTopic, outbox: billing }),
      })
      running.push(consumer)
      return consumer
    }

    const deadLetters = async (consumer: string) =>
      (await pool.query(`select * from inbox.parked where consumer = $1 order by number`, [consumer])).rows

    test('an event that is delivered twice takes effect once', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      consumer.on('order.placed', (event, { tx }) =>
        driver.insertEffect(tx, { id: event.id, key: event.payload.orderId, value: event.payload.value }),
      )
      const [one, two] = events(2) as [ReturnType<typeof events>[0], ReturnType<typeof events>[0]]
      const done = happens('consumerHandled', consumer.name, { count: 2 })

      await consumer.start()
      await publish(orders, [one, one, two])
      await done

      expect(compare([one, two], await effects(pool))).toEqual({ lost: 0, doubled: 0 })
      expect(consumer.counts).toMatchObject({ handled: 2, duplicates: 1, deadLetters: 0 })
    })

    test('metrics tell how events ended, by consumer and topic, and how old they were', async () => {
      const orders = await createOrders()
      const registry = new Registry()
      using _metrics = collectConsumerMetrics(registry)
      const consumer = consumerOf(orders)
      let attempts = 0
      consumer.on('order.placed', async (event) => {
        if (event.payload.value === 1) throw new PermanentError('no customer')
        if (event.payload.value === 2 && ++attempts === 1) throw new Error('once more')
        await Promise.resolve()
      })
      const [one, dead, again] = events(3) as [Sent, Sent, Sent]
      const done = happens('consumerHandled', consumer.name, { count: 2 })

      await consumer.start()
      await publish(orders, [one, one, dead, { ...one, id: randomUUID(), type: 'order.unheard-of' }, again])
      await done

      const text = await registry.metrics()
      const labels = `consumer="${consumer.name}",topic="${orders.name}"`
      for (const [outcome, count] of [
        ['handled', 2],
        ['duplicate', 1],
        ['skipped', 1],
        ['dead-lettered', 1],
      ] as const)
        expect(text).toContain(`oncebox_consumer_events_total{${labels},outcome="${outcome}"} ${count}\n`)
      expect(text).toContain(`oncebox_consumer_retries_total{${labels}} 1\n`)
      expect(text).toContain(`oncebox_consumer_event_age_seconds_count{${labels}} 2\n`)
      expect(text).toContain(`oncebox_consumer_partitions{consumer="${consumer.name}"} 1\n`)
    })

    test('the handler sees the event as it was published, with its place in Kafka', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      const seen = new Promise<object>((resolve) =>
        consumer.on('order.placed', async (event) => resolve(event)),
      )
      const [sent] = events(1)

      await consumer.start()
      await publish(orders, events(0).concat(sent ?? []))

      expect(await seen).toMatchObject({
        id: sent?.id,
        type: 'order.placed',
        source: 'orders',
        payload: { orderId: sent?.key, value: sent?.value },
        metadata: {
          topic: orders.name,
          partition: 0,
          offset: '0',
          key: sent?.key,
          attempt: 1,
          headers: { ce_type: 'order.placed' },
        },
      })
    })

    test('what a failed attempt wrote is rolled back, and the next attempt succeeds', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      const attempts: number[] = []
      consumer.on('order.placed', async (event, { tx }) => {
        await driver.insertEffect(tx, {
          id: event.id,
          key: event.payload.orderId,
          value: event.payload.value,
        })
        attempts.push(event.metadata.attempt)
        if (event.metadata.attempt < 3) throw new Error('not yet')
      })
      const sent = events(1)
      const done = happens('consumerHandled', consumer.name)

      await consumer.start()
      await publish(orders, sent)
      await done

      expect(attempts).toEqual([1, 2, 3])
      expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
      expect(
        (await pool.query('select from inbox.attempts where consumer = $1', [consumer.name])).rowCount,
      ).toBe(0)
      expect(consumer.counts).toMatchObject({ handled: 1, retries: 2 })
    })

    test('events behind one that is tried again wait for it', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      consumer.on('order.placed', async (event, { tx }) => {
        if (event.payload.value === 0 && event.metadata.attempt < 3) throw new Error('not yet')
        await driver.insertEffect(tx, {
          id: event.id,
          key: event.payload.orderId,
          value: event.payload.value,
        })
      })
      const done = happens('consumerHandled', consumer.name, { count: 4 })

      await publish(orders, events(4, { keys: 2 }))
      await consumer.start()
      await done

      expect((await effects(pool)).map(({ value }) => value)).toEqual([0, 1, 2, 3])
      expect(consumer.counts).toMatchObject({ handled: 4, retries: 2 })
    })

    test('an error that the handler swallowed is an attempt: nothing of it is committed', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders, { attemptsMax: 2 })
      consumer.on('order.placed', async (event, { tx }) => {
        await driver
          .insertEffect(tx, { id: event.id, key: event.payload.orderId, value: Number.NaN })
          .catch(() => undefined)
      })
      const sent = events(1)
      const done = happens('consumerDeadLettered', consumer.name)

      await consumer.start()
      await publish(orders, sent)
      await done

      expect(await effects(pool)).toEqual([])
      expect(await deadLetters(consumer.name)).toMatchObject([{ state: 'dead', attempts: 2 }])
    })

    test('follow-up events are committed with the effect, or not at all', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      consumer.on('order.placed', async (event, { tx }) => {
        await billing.emit(tx, 'charge.made', { orderId: event.payload.orderId })
        if (event.metadata.attempt === 1) throw new Error('once')
      })
      const sent = events(3, { keys: 3 })
      const done = happens('consumerHandled', consumer.name, { count: 3 })

      await consumer.start()
      await publish(orders, sent)
      await done

      const { rows } = await pool.query<{ key: string }>(
        `select key from outbox.events where topic = 'charges' order by seq`,
      )
      expect(rows.map(({ key }) => key)).toEqual(sent.map(({ key }) => key))
      await pool.query('delete from outbox.events')
    })

    test('a permanent error makes one dead letter, and one copy for the dead-letter topic', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders, { deadLetterTopic: 'orders.dead' })
      consumer.on('order.placed', async (event, { tx }) => {
        await driver.insertEffect(tx, {
          id: event.id,
          key: event.payload.orderId,
          value: event.payload.value,
        })
        if (event.payload.value === 0) throw new PermanentError('no customer')
      })
      const sent = events(2)
      const [bad] = sent
      const done = happens('consumerHandled', consumer.name)

      await consumer.start()
      await publish(orders, [...sent.slice(0, 1), ...sent])
      await done

      expect((await effects(pool)).map(({ id }) => id)).toEqual([sent[1]?.id])
      expect(await deadLetters(consumer.name)).toMatchObject([
        {
          event_id: bad?.id,
          state: 'dead',
          code: 'CONSUMER_PERMANENT',
          reason: 'no customer',
          attempts: 1,
          topic: orders.name,
          partition: 0,
          offset: '0',
        },
      ])
      const copies = await pool.query(
        `select source, type, key, headers, convert_from(payload, 'UTF8') as payload from outbox.events where topic = 'orders.dead'`,
      )
      expect(copies.rows).toMatchObject([
        {
          source: 'billing',
          type: 'order.placed',
          key: bad?.key,
          payload: JSON.stringify({ orderId: bad?.key, value: 0 }),
          headers: {
            'oncebox-dlt-code': 'CONSUMER_PERMANENT',
            'oncebox-dlt-stack': expect.stringContaining('PermanentError: no customer') as string,
            'oncebox-dlt-original-timestamp': expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
            'oncebox-dlt-original-id': bad?.id,
            'kafka_dlt-original-topic': orders.name,
          },
        },
      ])
      expect(consumer.counts).toMatchObject({ handled: 1, duplicates: 1, deadLetters: 1 })
    })

    test('a dead letter whose transaction is lost is none: the event has its next chance', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      let runs = 0
      consumer.on('order.placed', async (event, { tx }) => {
        runs += 1
        if (runs === 1) throw new PermanentError('no customer')
        await driver.insertEffect(tx, {
          id: event.id,
          key: event.payload.orderId,
          value: event.payload.value,
        })
      })
      let losses = 0
      // The first transaction that gets this far is the dead letter's.
      installFaultHandler((point) => {
        if (point !== 'consumer.effect.done' || losses > 0) return
        losses += 1
        throw new Error('lost before its COMMIT')
      })
      const sent = events(1)
      const done = happens('consumerHandled', consumer.name)

      await consumer.start()
      await publish(orders, sent)
      await done

      expect(losses).toBe(1)
      expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
      expect(await deadLetters(consumer.name)).toEqual([])
    })

    test('the last attempt makes a dead letter, and replay runs the handler from there', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      let broken = true
      consumer.on('order.placed', async (event, { tx }) => {
        if (broken) throw new Error('payment service is down')
        await driver.insertEffect(tx, {
          id: event.id,
          key: event.payload.orderId,
          value: event.payload.value,
        })
      })
      const sent = events(1)
      const id = sent[0]?.id ?? ''
      const done = happens('consumerDeadLettered', consumer.name)

      await consumer.start()
      await publish(orders, sent)
      await done
      expect(await deadLetters(consumer.name)).toMatchObject([
        { code: 'CONSUMER_HANDLER_FAILED', attempts: 3, reason: 'payment service is down' },
      ])
      expect(await consumer.replay({ ids: [id] })).toMatchObject([{ id, outcome: 'failed' }])
      broken = false

      expect(await consumer.replay({ ids: [id, 'nobody'] })).toEqual([
        { id, outcome: 'replayed' },
        { id: 'nobody', outcome: 'not-found' },
      ])
      expect(await consumer.replay({ ids: [id] })).toEqual([{ id, outcome: 'not-found' }])
      expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
    })

    test('what is not an event of the topic becomes a dead letter that quotes no payload, unknown types are skipped', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      consumer.on('order.placed', (event, { tx }) =>
        driver.insertEffect(tx, { id: event.id, key: event.payload.orderId, value: event.payload.value }),
      )
      const last = events(1)
      const done = happens('consumerHandled', consumer.name)

      await consumer.start()
      await withProducer(brokers(), (producer) =>
        producer.send({
          topic: orders.name,
          messages: [
            { value: 'no envelope at all' },
            { value: '{"secret": tru', headers: { ce_id: 'a', ce_type: 'order.placed', ce_source: 's' } },
            {
              value: '{"orderId": "secret", "value": "secret"}',
              headers: { ce_id: 'b', ce_type: 'order.placed', ce_source: 's' },
            },
            { value: null, headers: { ce_id: 'c', ce_type: 'order.placed', ce_source: 's' } },
            {
              value: 'x',
              key: Buffer.from([0, 0, 0, 0]),
              headers: {
                ce_id: 'nul\u0000',
                ce_type: 'order.placed',
                ce_source: 's',
                other: Buffer.from([0, 255]),
              },
            },
            { value: '{}', headers: { ce_id: 'd', ce_type: 'order.shipped', ce_source: 's' } },
          ],
        }),
      )
      await publish(orders, last)
      await done

      const letters = await deadLetters(consumer.name)
      expect(letters.map(({ code }) => code)).toEqual(
        Array.from({ length: 5 }, () => 'CONSUMER_EVENT_INVALID'),
      )
      expect(letters[2].reason).toContain('value')
      expect(letters.map(({ reason, stack }) => `${reason}${stack}`).join()).not.toContain('secret')
      expect(letters[4].key).toEqual(Buffer.from([0, 0, 0, 0]))
      expect(consumer.counts).toMatchObject({ handled: 1, skipped: 1, deadLetters: 5 })
    })

    test('stops twice, starts again, and goes on where it was', async () => {
      const orders = await createOrders()
      const consumer = consumerOf(orders)
      consumer.on('order.placed', (event, { tx }) =>
        driver.insertEffect(tx, { id: event.id, key: event.payload.orderId, value: event.payload.value }),
      )
      const sent = events(20)
      await publish(orders, sent.slice(0, 10))
      const first = happens('consumerHandled', consumer.name, { count: 10 })
      await consumer.start()
      await first
      await Promise.all([consumer.stop(), consumer.stop()])
      expect(consumer.state).toBe('stopped')

      await publish(orders, sent.slice(10))
      const second = happens('consumerHandled', consumer.name, { count: 10 })
      await consumer.start()
      expect(consumer.state).toBe('running')
      await second

      expect(compare(sent, await effects(pool))).toEqual({ lost: 0, doubled: 0 })
      expect(consumer.counts).toMatchObject({ handled: 20, duplicates: 0 })
    })
  })
}
