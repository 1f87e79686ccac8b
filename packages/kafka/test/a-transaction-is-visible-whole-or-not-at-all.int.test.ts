import { installFaultHandler } from '@oncebox/core'
import { describe, expect, test } from 'vitest'
import { kafkaVersions, numbered, setUp, useKafka } from './fixture.js'

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  test('a committed transaction is visible in every partition, with the offsets that the receipt names', async () => {
    const { open, records, committed, topic } = await setUp({ brokers: kafka.brokers(), partitions: 3 })
    const session = await open()
    const partitions = [0, 1, 2].map((partition) => records(numbered(`p${partition}`, 5), partition))
    const { placed } = await session.publish({ partitions })
    expect(placed).toEqual(
      [0, 1, 2].map((partition) => ({ topic, partition, baseOffset: 0n, lastOffset: 4n, count: 5 })),
    )
    expect(await committed()).toEqual([0, 1, 2].flatMap((partition) => numbered(`p${partition}`, 5)))
  })

  test('a rejected gate leaves nothing visible, and the session goes on', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    const gate = Promise.reject(new Error('the window record was refused'))
    await expect(session.publish({ partitions: [records(['aborted'])], gate })).rejects.toMatchObject({
      code: 'KAFKA_TRANSACTION_NOT_COMMITTED',
      outcome: 'not-committed',
      cause: expect.objectContaining({ message: 'the window record was refused' }),
    })
    expect(session.state).toBe('ready')
    await session.publish({ partitions: [records(['kept'])] })
    expect(await committed()).toEqual(['kept'])
  })

  test('what is behind an aborted transaction is aborted with it, or its position would pass over lost records', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    let refuse: (reason: Error) => void = () => undefined
    const gate = new Promise((_resolve, reject) => (refuse = reject))
    const ahead = session.publish({ partitions: [records(['ahead'])], gate })
    const behind = session.publish({ partitions: [records(['behind'])] })
    const settled = Promise.allSettled([ahead, behind])
    refuse(new Error('no'))
    const notCommitted = { status: 'rejected', reason: expect.objectContaining({ outcome: 'not-committed' }) }
    expect(await settled).toEqual([
      expect.objectContaining(notCommitted),
      expect.objectContaining(notCommitted),
    ])
    expect(session.state).toBe('ready')
    await session.publish({ partitions: [records(['later'])] })
    expect(await committed()).toEqual(['later'])
  })

  test('a partition with more than five full batches arrives whole and in order', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    const texts = numbered('x'.repeat(9_000), 1_200) // 8 batches of a megabyte and more
    const { placed } = await session.publish({ partitions: [records(texts)] })
    expect(placed).toMatchObject([{ baseOffset: 0n, lastOffset: 1_199n, count: 1_200 }])
    expect(await committed()).toEqual(texts)
  })

  test('a transaction without records, and a third one before the first has settled, are mistakes of the caller', async () => {
    const { open, records } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    await expect(session.publish({ partitions: [records([])] })).rejects.toThrow(/at least one record/)
    const two = [
      session.publish({ partitions: [records(['1'])] }),
      session.publish({ partitions: [records(['2'])] }),
    ]
    await expect(session.publish({ partitions: [records(['3'])] })).rejects.toThrow(/at most one undecided/)
    expect(await Promise.all(two)).toHaveLength(2)
  })

  test.each([
    ['relay.produce.sent', 'not-committed'],
    ['relay.produce.acked', 'not-committed'],
    ['relay.endtxn.sent', 'unknown'],
    ['relay.endtxn.acked', 'unknown'],
  ] as const)(
    'whatever throws at %s, the session does not go on with a transaction in doubt',
    async (point, outcome) => {
      const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
      const session = await open()
      installFaultHandler((name) => {
        if (name === point) throw new Error('thrown on purpose')
      })
      const publishing = session.publish({ partitions: [records(['doubtful'])] })
      await expect(publishing.finally(() => installFaultHandler(undefined))).rejects.toMatchObject({
        outcome,
      })
      expect(session.state).toBe('poisoned')
      await expect(session.publish({ partitions: [records(['refused'])] })).rejects.toMatchObject({
        code: 'KAFKA_SESSION_CLOSED',
      })
      await (await open()).publish({ partitions: [records(['next'])] })
      const values = await committed()
      expect([['next'], ['doubtful', 'next']]).toContainEqual(values)
      if (outcome === 'not-committed') expect(values).toEqual(['next'])
    },
  )

  test('closing a session ends what waits in it, and nothing of it becomes visible', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    const never = new Promise(() => undefined)
    const waiting = session.publish({ partitions: [records(['waiting'])], gate: never })
    const behind = session.publish({ partitions: [records(['behind'])] })
    const settled = Promise.allSettled([waiting, behind])
    await session.close()
    const notCommitted = expect.objectContaining({
      reason: expect.objectContaining({ outcome: 'not-committed' }),
    })
    expect(await settled).toEqual([notCommitted, notCommitted])
    expect(session.state).toBe('closed')
    await (await open()).publish({ partitions: [records(['next'])] })
    expect(await committed()).toEqual(['next'])
  })
})
