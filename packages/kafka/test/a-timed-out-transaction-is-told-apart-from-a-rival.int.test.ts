import { startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { installFaultHandler } from '@oncebox/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { clusterOf } from '../src/cluster.js'
import { Deadline } from '../src/deadline.js'
import { openTransactions } from '../src/partition-offsets.js'
import { kafkaVersions, numbered, setUp, type Fixture } from './fixture.js'

const timedOut = { code: 'KAFKA_TRANSACTION_TIMED_OUT', outcome: 'not-committed' }
const fenced = { code: 'KAFKA_FENCED', outcome: 'fenced' }
const options = { transactionTimeoutMs: 1_000 }

/** Resolves when the coordinator has ended what was open on the topic. */
async function untilAborted({ client, topic }: Fixture): Promise<void> {
  using deadline = new Deadline(30_000, 'waiting for the abort')
  const open = () => openTransactions(clusterOf(client), { topic, partition: 0 }, deadline)
  await expect.poll(open, { timeout: 20_000 }).toHaveLength(1)
  await expect.poll(open, { timeout: 20_000 }).toHaveLength(0)
}

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  let kafka: PrivateKafka

  beforeAll(async () => {
    // The coordinator looks every 10 s by default.
    const settings = { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '200' }
    kafka = await startPrivateKafka({ version, settings })
  })
  afterAll(() => kafka[Symbol.asyncDispose]())
  afterEach(() => installFaultHandler(undefined))

  test('a commit that comes after the timeout is not committed, and nobody else has taken over', async () => {
    const fixture = await setUp({ brokers: kafka.brokers })
    const session = await fixture.open(options)
    const publishing = session.publish({
      partitions: [fixture.records(['late'])],
      gate: untilAborted(fixture),
      deadlineMs: 30_000,
    })
    await expect(publishing).rejects.toMatchObject({ ...timedOut, failureClass: 'application-recoverable' })
    expect(session.state).toBe('poisoned')
    const next = await fixture.open()
    await next.publish({ partitions: [fixture.records(['next'])] })
    expect(await fixture.committed()).toEqual(['next'])
  })

  test('a Produce that comes after the timeout is not committed, and nobody else has taken over', async () => {
    const fixture = await setUp({ brokers: kafka.brokers })
    const session = await fixture.open(options)
    // Six batches of a partition go out in two waves: 5 at most are unacknowledged.
    installFaultHandler(async (name) => {
      if (name !== 'relay.produce.sent') return
      installFaultHandler(undefined)
      await untilAborted(fixture)
    })
    const large = numbered('x'.repeat(400_000), 6)
    const publishing = session.publish({ partitions: [fixture.records(large)], deadlineMs: 30_000 })
    await expect(publishing).rejects.toMatchObject(timedOut)
    expect(await fixture.committed()).toEqual([])
  })

  test('a rival that takes over an overdue transaction is named as such', async () => {
    const fixture = await setUp({ brokers: kafka.brokers })
    const session = await fixture.open(options)
    const takenOver = async (): Promise<void> => {
      await untilAborted(fixture)
      await fixture.open(options)
    }
    const publishing = session.publish({
      partitions: [fixture.records(['late'])],
      gate: takenOver(),
      deadlineMs: 30_000,
    })
    await expect(publishing).rejects.toMatchObject(fenced)
    expect(session.state).toBe('fenced')
  })

  test('asking who holds the id does not fence a rival', async () => {
    const fixture = await setUp({ brokers: kafka.brokers })
    const stale = await fixture.open(options)
    let rival: Awaited<ReturnType<Fixture['open']>> | undefined
    const takenOver = async (): Promise<void> => {
      await untilAborted(fixture)
      rival = await fixture.open(options)
    }
    const publishing = stale.publish({
      partitions: [fixture.records(['stale'])],
      gate: takenOver(),
      deadlineMs: 30_000,
    })
    await expect(publishing).rejects.toMatchObject(fenced)
    for (const text of ['on b', 'on a', 'on b again'])
      await rival?.publish({ partitions: [fixture.records([text])] })
    expect(await fixture.committed()).toEqual(['on b', 'on a', 'on b again'])
  })
})
