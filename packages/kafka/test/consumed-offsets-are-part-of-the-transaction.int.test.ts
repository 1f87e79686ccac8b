import { randomName } from '@internal/stack'
import { Kafka, logLevel, type Consumer } from 'kafkajs'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ConsumedOffsets } from '../src/index.js'
import { kafkaVersions, setUp, useKafka, type Fixture } from './fixture.js'

const kafkajs = ({ brokers }: Fixture): Kafka =>
  new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING })

/** The committed offset of partition 0 of the fixture's topic; -1 when there is none. */
async function offsetOf(groupId: string, fixture: Fixture): Promise<string | undefined> {
  const admin = kafkajs(fixture).admin()
  await admin.connect()
  try {
    const [found] = await admin.fetchOffsets({ groupId, topics: [fixture.topic] })
    return found?.partitions.find(({ partition }) => partition === 0)?.offset
  } finally {
    await admin.disconnect()
  }
}

/** A member of the group, and how to let it go. */
async function join(groupId: string, fixture: Fixture): Promise<{ consumer: Consumer; memberId: string }> {
  const consumer = kafkajs(fixture).consumer({ groupId, rebalanceTimeout: 3_000, heartbeatInterval: 100 })
  onTestFinished(() => consumer.disconnect())
  const joined = new Promise<string>((resolve) => {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => resolve(payload.memberId))
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [fixture.topic] })
  await consumer.run({ eachMessage: async () => undefined, autoCommit: false })
  return { consumer, memberId: await joined }
}

const offsetsOf = (
  groupId: string,
  { topic }: Fixture,
  offset: bigint,
  member: { readonly generationId: number; readonly memberId: string } = { generationId: -1, memberId: '' },
): ConsumedOffsets => ({
  groupId,
  ...member,
  offsets: [{ topic, partition: 0, offset, metadata: 'by a test' }],
})

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  test('records and offsets are committed together, and aborted together', async () => {
    const fixture = await setUp({ brokers: kafka.brokers() })
    const group = randomName('group')
    const session = await fixture.open()
    const abort = Promise.reject(new Error('no'))
    await expect(
      session.publish({
        partitions: [fixture.records(['aborted'])],
        offsets: offsetsOf(group, fixture, 5n),
        gate: abort,
      }),
    ).rejects.toMatchObject({ outcome: 'not-committed' })
    expect(session.state).toBe('ready')
    // Opening waits for the markers of what was ended before.
    const next = await fixture.open()
    expect(await offsetOf(group, fixture)).toBe('-1')

    await next.publish({ partitions: [fixture.records(['kept'])], offsets: offsetsOf(group, fixture, 7n) })
    await expect.poll(() => offsetOf(group, fixture)).toBe('7')
    expect(await fixture.committed()).toEqual(['kept'])
  })

  test('offsets alone make a transaction, in the order of the calls, and may lie beyond 2^53', async () => {
    const fixture = await setUp({ brokers: kafka.brokers() })
    const group = randomName('group')
    const session = await fixture.open()
    const beyond = 2n ** 53n + 1n
    await Promise.all([
      session.publish({ offsets: offsetsOf(group, fixture, beyond - 1n) }),
      session.publish({ offsets: offsetsOf(group, fixture, beyond) }),
    ])
    await fixture.open()
    expect(await offsetOf(group, fixture)).toBe(String(beyond))
  })

  test('a member that has lost its partitions is refused, its records never show, and its session goes on', async () => {
    const fixture = await setUp({ brokers: kafka.brokers() })
    const group = randomName('group')
    const session = await fixture.open()
    const zombie = await join(group, fixture)
    const first = { generationId: 1, memberId: zombie.memberId }
    await session.publish({
      partitions: [fixture.records(['in time'])],
      offsets: offsetsOf(group, fixture, 1n, first),
    })
    await join(group, fixture) // a second member: another generation
    const late = session.publish({
      partitions: [fixture.records(['late'])],
      offsets: offsetsOf(group, fixture, 2n, first),
    })
    await expect(late).rejects.toMatchObject({
      code: 'KAFKA_GROUP_FENCED',
      outcome: 'not-committed',
      failureClass: 'application-recoverable',
      details: { groupId: group, generationId: 1 },
    })
    const nobody = { generationId: 2, memberId: 'nobody' }
    await expect(session.publish({ offsets: offsetsOf(group, fixture, 3n, nobody) })).rejects.toMatchObject({
      code: 'KAFKA_GROUP_FENCED',
    })
    await session.publish({ partitions: [fixture.records(['without offsets'])] })
    expect(await fixture.committed()).toEqual(['in time', 'without offsets'])
    expect(await offsetOf(group, fixture)).toBe('1')
  })

  test('metadata that the broker refuses poisons the session, and nothing is committed', async () => {
    const fixture = await setUp({ brokers: kafka.brokers() })
    const group = randomName('group')
    const session = await fixture.open()
    const offsets = offsetsOf(group, fixture, 5n)
    const tooLong = {
      ...offsets,
      offsets: offsets.offsets.map((one) => ({ ...one, metadata: 'x'.repeat(5_000) })),
    }
    await expect(
      session.publish({ partitions: [fixture.records(['lost'])], offsets: tooLong }),
    ).rejects.toMatchObject({ outcome: 'not-committed', details: { code: 12 } })
    await fixture.open()
    expect(await offsetOf(group, fixture)).toBe('-1')
    expect(await fixture.committed()).toEqual([])
  })
})
