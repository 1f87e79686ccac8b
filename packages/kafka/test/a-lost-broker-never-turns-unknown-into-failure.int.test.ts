import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { installFaultHandler, type FaultPoint } from '@oncebox/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectKafka } from '../src/index.js'
import { kafkaVersions, numbered, setUp } from './fixture.js'

const cases: readonly (readonly [FaultPoint, 'not-committed' | 'unknown', string])[] = [
  ['relay.produce.sent', 'not-committed', 'KAFKA_TRANSACTION_NOT_COMMITTED'],
  ['relay.produce.acked', 'not-committed', 'KAFKA_TRANSACTION_NOT_COMMITTED'],
  ['relay.endtxn.sent', 'unknown', 'KAFKA_TRANSACTION_UNKNOWN'],
]

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  let kafka: PrivateKafka

  beforeAll(async () => {
    kafka = await startPrivateKafka({ version })
  })
  afterAll(() => kafka[Symbol.asyncDispose]())
  afterEach(() => installFaultHandler(undefined))

  test.each(cases)(
    'a broker killed at %s makes the outcome %s, and the next session finds all or nothing',
    async (point, outcome, code) => {
      const { open, records, committed } = await setUp({ brokers: kafka.brokers })
      const session = await open()
      installFaultHandler(async (name) => {
        // Frozen first, or its answer to EndTxn may be on its way before the kill is.
        if (name === 'relay.produce.acked' && point === 'relay.endtxn.sent')
          process.kill(kafka.pid(), 'SIGSTOP')
        if (name !== point) return
        installFaultHandler(undefined)
        await kafka.kill()
      })
      const failing = session.publish({ partitions: [records(numbered('lost', 50))], deadlineMs: 3_000 })
      const behind = session.publish({ partitions: [records(['behind'])], deadlineMs: 4_000 })
      const [first, second] = await Promise.allSettled([failing, behind])
      expect(first).toMatchObject({ status: 'rejected', reason: { outcome, code } })
      expect(second).toMatchObject({ status: 'rejected', reason: { outcome: 'not-committed' } })
      expect(session.state).toBe('poisoned')

      await kafka.start()
      const next = await open()
      await next.publish({ partitions: [records(['next'])] })
      const values = await committed()
      expect([['next'], [...numbered('lost', 50), 'next']]).toContainEqual(values)
      if (outcome === 'not-committed') expect(values).toEqual(['next'])
    },
  )

  test('a broker that restarts between two transactions costs a wait, and no session', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers })
    const session = await open({ topicPatienceMs: 60_000 })
    await session.publish({ partitions: [records(['before'])] })
    await kafka.stop()
    const [receipt] = await Promise.all([
      session.publish({ partitions: [records(['after'])], deadlineMs: 100_000 }),
      kafka.start(),
    ])
    expect(receipt.placed).toMatchObject([{ count: 1 }])
    expect(session.state).toBe('ready')
    await open()
    expect(await committed()).toEqual(['before', 'after'])
  })
})

test('a client that finds no broker says so in bounded time', async () => {
  await expect(connectKafka({ brokers: ['127.0.0.1:1'] })).rejects.toMatchObject({
    code: 'KAFKA_UNAVAILABLE',
  })
})
