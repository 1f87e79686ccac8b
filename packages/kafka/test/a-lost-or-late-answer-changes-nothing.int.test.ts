import { startProxy, type Proxy } from '@internal/proxy'
import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectKafka } from '../src/index.js'
import { kafkaVersions, numbered, setUp, type Fixture } from './fixture.js'

const notCommitted = { code: 'KAFKA_TRANSACTION_NOT_COMMITTED', outcome: 'not-committed' }
const unknown = { code: 'KAFKA_TRANSACTION_UNKNOWN', outcome: 'unknown' }
const refused = new Error('refused by the gate')

// Transactions v2 on Kafka 4.3, v1 on 3.9.
describe.each(kafkaVersions)('on Kafka %s', (version) => {
  let proxy: Proxy
  let kafka: PrivateKafka

  beforeAll(async () => {
    kafka = await startPrivateKafka({
      version,
      proxiedAt: async (upstream) => (proxy = await startProxy({ protocol: 'kafka', upstream })).port,
    })
  })
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
  })

  /** Everything of the session goes through the proxy; the judge goes past it. */
  const throughProxy = (): Promise<Fixture> =>
    setUp({ brokers: [`${proxy.host}:${proxy.port}`], judgeBrokers: kafka.brokers })

  test.each(['drop', 'cut-before'] as const)(
    'the answer to EndTxn(commit) is lost (%s): the outcome is unknown, and the records are there, all of them',
    async (action) => {
      const { open, records, committed } = await throughProxy()
      const session = await open()
      using rule = proxy.on({ answer: 'EndTxn' }, action)
      const publishing = session.publish({ partitions: [records(numbered('whole', 50))], deadlineMs: 3_000 })
      await expect(publishing).rejects.toMatchObject(unknown)
      await rule.fired
      expect(session.state).toBe('poisoned')

      const next = await open()
      await next.publish({ partitions: [records(['next'])] })
      expect(await committed()).toEqual([...numbered('whole', 50), 'next'])
    },
  )

  test.each(['drop', 'cut-before'] as const)(
    'EndTxn(commit) itself is lost (%s): the outcome is unknown, and nothing is there',
    async (action) => {
      const { open, records, committed } = await throughProxy()
      const session = await open()
      using rule = proxy.on({ request: 'EndTxn' }, action)
      const publishing = session.publish({ partitions: [records(numbered('lost', 50))], deadlineMs: 3_000 })
      await expect(publishing).rejects.toMatchObject(unknown)
      await rule.fired

      const next = await open()
      await next.publish({ partitions: [records(['next'])] })
      expect(await committed()).toEqual(['next'])
    },
  )

  test.each(['drop', 'cut-before'] as const)(
    'the answer to Produce is lost (%s): nothing is committed, and nothing is there after the next session was opened',
    async (action) => {
      const { open, records, committed } = await throughProxy()
      const session = await open()
      using rule = proxy.on({ answer: 'Produce' }, action)
      const publishing = session.publish({ partitions: [records(numbered('lost', 50))], deadlineMs: 3_000 })
      await expect(publishing).rejects.toMatchObject(notCommitted)
      await rule.fired
      expect(session.state).toBe('poisoned')

      const next = await open()
      expect(await committed()).toEqual([])
      await expect(next.publish({ partitions: [records(['next'])] })).resolves.toMatchObject({
        placed: [{ count: 1 }],
      })
    },
  )

  // KAFKA-17754: under transactions v1, where the epoch stays, it would commit the half of a later transaction.
  test('a copy of an EndTxn(commit) that arrives in the next transaction of its id is refused', async () => {
    const { open, records, committed } = await throughProxy()
    const session = await open()
    using first = proxy.on({ request: 'EndTxn' }, 'duplicate-later')
    await session.publish({ partitions: [records(['first on b'])] })
    const late = await first.fired
    await session.publish({ partitions: [records(['on a'])] })

    const gate = closedGate()
    using produced = proxy.on({ answer: 'Produce' }, 'forward')
    const aborted = session.publish({ partitions: [records(['second on b'])], gate: gate.promise })
    await produced.fired
    expect(endTxnCodeOf(await late.deliver())).toBe(PRODUCER_FENCED)
    gate.reject(refused)
    await expect(aborted).rejects.toMatchObject({ ...notCommitted, cause: refused })

    expect(session.state).toBe('ready')
    await session.publish({ partitions: [records(['last'])] })
    expect(await committed()).toEqual(['first on b', 'on a', 'last'])
  })

  test.each(['aborted', 'committed'] as const)(
    'an EndTxn(commit) that arrives when its id belongs to the next session leaves the open transaction to be %s',
    async (ending) => {
      const { open, records, committed } = await throughProxy()
      const stale = await open()
      using held = proxy.on({ request: 'EndTxn' }, 'hold')
      const publishing = stale.publish({ partitions: [records(['stale'])], deadlineMs: 2_000 })
      const late = await held.fired
      await expect(publishing).rejects.toMatchObject(unknown)
      await stale.close()

      const fresh = await open()
      const gate = closedGate()
      using produced = proxy.on({ answer: 'Produce' }, 'forward')
      const later = fresh.publish({ partitions: [records(['fresh'])], gate: gate.promise })
      await produced.fired
      expect(endTxnCodeOf(await late.deliver())).toBe(PRODUCER_FENCED)
      if (ending === 'aborted') {
        gate.reject(refused)
        await expect(later).rejects.toMatchObject({ ...notCommitted, cause: refused })
      } else {
        gate.resolve()
        await later
      }
      expect(await committed()).toEqual(ending === 'aborted' ? [] : ['fresh'])
    },
  )

  if (version === '3.9') {
    // What transactions v2 does not send.
    test.each(['InitProducerId', 'AddPartitionsToTxn'] as const)(
      'the answer to %s is lost: nothing is committed, and the next session goes on',
      async (request) => {
        const { open, records, committed } = await throughProxy()
        const session = await open()
        await session.publish({ partitions: [records(['on b'])] })
        await session.publish({ partitions: [records(['on a'])] })
        using rule = proxy.on({ answer: request }, 'cut-before')
        await expect(session.publish({ partitions: [records(['lost'])] })).rejects.toMatchObject(notCommitted)
        await rule.fired
        expect(session.state).toBe('poisoned')
        const next = await open()
        await next.publish({ partitions: [records(['next'])] })
        expect(await committed()).toEqual(['on b', 'on a', 'next'])
      },
    )

    test('a copy of an AddPartitionsToTxn that arrives in the next transaction of its id is refused', async () => {
      const { open, records, committed } = await throughProxy()
      const session = await open()
      using first = proxy.on({ request: 'AddPartitionsToTxn' }, 'duplicate-later')
      await session.publish({ partitions: [records(['first on b'])] })
      const late = await first.fired
      await session.publish({ partitions: [records(['on a'])] })

      const gate = closedGate()
      using produced = proxy.on({ answer: 'Produce' }, 'forward')
      const second = session.publish({ partitions: [records(['second on b'])], gate: gate.promise })
      await produced.fired
      expect(addPartitionsCodeOf(await late.deliver())).toBe(PRODUCER_FENCED)
      gate.resolve()
      await second
      expect(await committed()).toEqual(['first on b', 'on a', 'second on b'])
    })

    test('a copy of an AddPartitionsToTxn that arrives between two transactions of its id ends the session, and nothing stays open', async () => {
      const { open, records, committed } = await throughProxy()
      const session = await open()
      using first = proxy.on({ request: 'AddPartitionsToTxn' }, 'duplicate-later')
      await session.publish({ partitions: [records(['first on b'])] })
      const late = await first.fired
      await session.publish({ partitions: [records(['on a'])] })
      await late.deliver()
      // The broker ends what the copy has opened, and takes the id away for it.
      const second = session.publish({ partitions: [records(['second on b'])] })
      await expect(second).rejects.toMatchObject({ code: 'KAFKA_FENCED', outcome: 'fenced' })
      const next = await open()
      await next.publish({ partitions: [records(['next'])] })
      expect(await committed()).toEqual(['first on b', 'on a', 'next'])
    })
  }

  // Initialised in parallel, two crossed starts could end up with one id each, and neither would notice.
  test('a start asks for its second id only when it has the first', async () => {
    const { open } = await throughProxy()
    using asked = proxy.on({ request: 'InitProducerId', nth: 'every' }, 'forward')
    using held = proxy.on({ answer: 'InitProducerId' }, 'hold')
    const opening = open()
    const first = await held.fired
    // Whatever the start would send beside it is through when another connection has been answered.
    await connectKafka({ brokers: [`${proxy.host}:${proxy.port}`] }).then((client) => client.close())
    expect(asked.frames).toHaveLength(1)
    await first.deliver()
    await opening
    expect(asked.frames.length).toBeGreaterThanOrEqual(2)
  })

  // The broker remembers five: a sixth that is sent again could not be told from a new one.
  test('at most five batches of a partition are unacknowledged', async () => {
    const { open, records, committed } = await throughProxy()
    const session = await open()
    using sent = proxy.on({ request: 'Produce', nth: 'every' }, 'forward')
    using held = proxy.on({ answer: 'Produce' }, 'hold')
    const large = Array.from({ length: 8 }, (_, index) => `${index}${'x'.repeat(400_000)}`)
    const publishing = session.publish({ partitions: [records(large)] })
    const first = await held.fired
    await expect.poll(() => sent.frames.length).toBe(5)
    await first.deliver()
    await publishing
    expect(sent.frames).toHaveLength(8)
    expect(await committed()).toEqual(large)
  })

  test('a copy of a Produce that arrives in the next transaction of its id is refused, and its records show once', async () => {
    const { open, records, committed } = await throughProxy()
    const session = await open()
    using first = proxy.on({ request: 'Produce' }, 'duplicate-later')
    await session.publish({ partitions: [records(['first on b'])] })
    const late = await first.fired
    await session.publish({ partitions: [records(['on a'])] })

    const gate = closedGate()
    using produced = proxy.on({ answer: 'Produce' }, 'forward')
    const second = session.publish({ partitions: [records(['second on b'])], gate: gate.promise })
    await produced.fired
    await late.deliver()
    gate.resolve()
    await second
    expect(await committed()).toEqual(['first on b', 'on a', 'second on b'])
  })
})

interface Gate {
  readonly promise: Promise<void>
  resolve: () => void
  reject: (reason: Error) => void
}

/** Keeps a transaction open until the test decides it. */
function closedGate(): Gate {
  let settle: Omit<Gate, 'promise'> | undefined
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }))
  return { promise, resolve: () => settle?.resolve(), reject: (reason) => settle?.reject(reason) }
}

const PRODUCER_FENCED = 90

/** Of an answer to EndTxn 5: length, correlation id, no tags, throttle time, then the code. */
const endTxnCodeOf = (answer: Buffer | undefined): number | undefined => answer?.readInt16BE(4 + 4 + 1 + 4)

/** Of an answer to AddPartitionsToTxn 3 with one partition of one topic. */
function addPartitionsCodeOf(answer: Buffer | undefined): number | undefined {
  if (answer === undefined) return undefined
  const topicLengthAt = 4 + 4 + 1 + 4 + 1 // length, correlation id, no tags, throttle time, one topic
  const topicLength = (answer[topicLengthAt] ?? 1) - 1
  return answer.readInt16BE(topicLengthAt + 1 + topicLength + 1 + 4) // one partition, its index
}
