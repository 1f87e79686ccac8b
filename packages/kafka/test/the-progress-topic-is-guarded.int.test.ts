import { createTopic, randomName, sharedStack } from '@internal/stack'
import { Kafka, logLevel } from 'kafkajs'
import { expect, test } from 'vitest'
import { ensureProgressTopic } from '../src/index.js'
import { setUp } from './fixture.js'

test('it is created compacted, and found again', async () => {
  const { client } = await setUp()
  const topic = randomName('progress')
  const created = await ensureProgressTopic(client, { topic, partitions: 3 })
  expect(created).toMatchObject({ name: topic, partitions: 3 })
  expect(await ensureProgressTopic(client, { topic, partitions: 3 })).toEqual(created)
})

test.each(['delete', 'compact,delete'])(
  'a cleanup.policy of %s is refused, as the position would expire',
  async (policy) => {
    const { client } = await setUp()
    const topic = await createTopic('progress', { config: { 'cleanup.policy': policy } })
    await expect(ensureProgressTopic(client, { topic, partitions: 1 })).rejects.toMatchObject({
      code: 'KAFKA_PROGRESS_TOPIC_INVALID',
    })
  },
)

test('partitions that are missing are added, and none is taken away', async () => {
  const { client, progress } = await setUp()
  const more = ensureProgressTopic(client, { topic: progress, partitions: 3 })
  const asWell = ensureProgressTopic(client, { topic: progress, partitions: 3 })
  expect(await Promise.all([more, asWell])).toMatchObject([{ partitions: 3 }, { partitions: 3 }])
  expect(await ensureProgressTopic(client, { topic: progress, partitions: 1 })).toMatchObject({
    partitions: 3,
  })
})

test('a foreign transaction that hides the claim is named, and the wait for it ends', async () => {
  const { open, progress } = await setUp()
  const kafka = new Kafka({
    clientId: 'foreign',
    brokers: [...sharedStack().kafka.brokers],
    logLevel: logLevel.NOTHING,
  })
  const producer = kafka.producer({
    transactionalId: randomName('foreign'),
    maxInFlightRequests: 1,
    idempotent: true,
  })
  await producer.connect()
  try {
    const foreign = await producer.transaction()
    await foreign.send({ topic: progress, messages: [{ key: 'foreign', value: 'open' }] })
    await expect(open({ deadlineMs: 1_500 })).rejects.toMatchObject({
      code: 'KAFKA_PROGRESS_BLOCKED',
      outcome: 'not-committed',
      message: expect.stringMatching(/producer \d+ \(open from offset 0\)/),
    })
    await foreign.abort()
    expect((await open()).state).toBe('ready')
  } finally {
    await producer.disconnect()
  }
})
