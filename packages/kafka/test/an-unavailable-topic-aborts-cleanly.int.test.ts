import { randomName } from '@internal/stack'
import { describe, expect, test } from 'vitest'
import { ensureProgressTopic } from '../src/index.js'
import { kafkaVersions, recordsOf, setUp, useKafka } from './fixture.js'

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  test('a topic that does not exist aborts the whole transaction, names the topic, and the session goes on', async () => {
    const { open, records, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open({ topicPatienceMs: 300 })
    const missing = randomName('missing')
    const partitions = [records(['beside it']), recordsOf(missing, 0, 1_000_000, ['nowhere'])]
    await expect(session.publish({ partitions })).rejects.toMatchObject({
      code: 'KAFKA_TOPIC_UNAVAILABLE',
      outcome: 'not-committed',
      details: { topic: missing },
    })
    expect(session.state).toBe('ready')
    await session.publish({ partitions: [records(['kept'])] })
    expect(await committed()).toEqual(['kept'])
  })

  test('a topic that was created this moment is waited for: it answers "unknown" and "not the leader" for a while', async () => {
    const { client, open } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    for (let round = 0; round < 5; round++) {
      const topic = randomName('fresh')
      await ensureProgressTopic(client, { topic, partitions: 3 })
      const partitions = [0, 1, 2].map((partition) => recordsOf(topic, partition, 1_000_000, ['event']))
      expect((await session.publish({ partitions })).placed).toHaveLength(3)
    }
  })

  test('a record that the topic refuses as too large aborts cleanly', async () => {
    const { open, records, topic, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    const oversized = recordsOf(topic, 0, 9_000_000, ['x'.repeat(2_000_000)]) // its limit was lowered since it was described
    await expect(session.publish({ partitions: [oversized] })).rejects.toMatchObject({
      code: 'KAFKA_RECORD_TOO_LARGE',
      outcome: 'not-committed',
    })
    await session.publish({ partitions: [records(['kept'])] })
    expect(await committed()).toEqual(['kept'])
  })

  test('describing a topic that does not exist says so', async () => {
    const { client } = await setUp({ brokers: kafka.brokers() })
    await expect(client.describeTopic(randomName('missing'), { patienceMs: 300 })).rejects.toMatchObject({
      code: 'KAFKA_TOPIC_UNAVAILABLE',
    })
  })
})
