import { Kafka, logLevel, type Admin } from 'kafkajs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { kafkaVersions, recordsOf, setUp, useKafka } from './fixture.js'

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  const kafka = useKafka(version)

  async function connectAdmin(): Promise<Admin> {
    const admin = new Kafka({ brokers: [...kafka.brokers()], logLevel: logLevel.NOTHING }).admin()
    onTestFinished(() => admin.disconnect())
    await admin.connect()
    return admin
  }

  test('partitions that were added since are written to', async () => {
    const { client, open, records, topic, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    await session.publish({ partitions: [records(['before'])] })
    const admin = await connectAdmin()
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
    await session.publish({ partitions: [records(['after'], 0), records(['new'], 2)] })
    expect((await client.describeTopic(topic, { refresh: true })).partitions).toBe(3)
    expect(await committed()).toEqual(['before', 'after', 'new'])
  })

  // Sequence numbers begin anew with each epoch, so the empty partition expects what it gets.
  test('a topic that was deleted and created again is written to, and its id is another one', async () => {
    const { client, open, records, topic, committed } = await setUp({ brokers: kafka.brokers() })
    const session = await open()
    const { topicId } = await client.describeTopic(topic)
    await session.publish({ partitions: [records(['gone with the topic'])] })
    const admin = await connectAdmin()
    await admin.deleteTopics({ topics: [topic] })
    await expect
      .poll(() => admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }).catch(() => false))
      .toBe(true)
    await session.publish({ partitions: [recordsOf(topic, 0, 1_000_000, ['in the new one'])] })
    expect(session.state).toBe('ready')
    expect((await client.describeTopic(topic, { refresh: true })).topicId).not.toBe(topicId)
    expect(await committed()).toEqual(['in the new one'])
  })
})
