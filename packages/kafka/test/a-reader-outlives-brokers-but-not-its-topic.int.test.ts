import { createTopic, randomName, sharedStack, startKafkaCluster, startPrivateKafka } from '@internal/stack'
import { OutboxError } from '@oncebox/core'
import { expect, test } from 'vitest'
import { connectKafka } from '../src/index.js'
import { ask, follow } from './following.js'
import { numbered, recordsOf, setUp } from './fixture.js'

const recreate = (brokers: readonly string[], topic: string): Promise<void> =>
  ask(brokers, async (admin) => {
    await admin.deleteTopics({ topics: [topic] })
    // The name is taken until the brokers have forgotten the old topic.
    const create = (): Promise<boolean> =>
      admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false }).catch(() => false)
    await expect.poll(create, { timeout: 20_000 }).toBe(true)
  })

test('a topic that is created again under its name is told at once, and nothing of the new one is delivered', async () => {
  const { brokers, client, open, topic, records } = await setUp()
  const session = await open()
  await session.publish({ partitions: [records(numbered('old', 5))] })
  await open()
  const { topicId } = await client.describeTopic(topic)
  const { halted, loop, until, untilOffset, values } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await untilOffset(6n)

  await recreate(brokers, topic)
  await until(() => halted.length > 0)
  const { topicId: newTopicId } = await client.describeTopic(topic, { refresh: true })
  expect(halted).toMatchObject([
    {
      at: { topic, partition: 0 },
      error: { code: 'KAFKA_TOPIC_RECREATED', details: { topicId, newTopicId } },
    },
  ])

  // More records than the old one had: by name, offset 6 would look like the place to go on.
  const next = await open()
  await next.publish({ partitions: [records(numbered('new', 10))] })
  await open()
  const fresh = follow(client)
  fresh.loop.assign([{ topic, partition: 0, offset: 0n, topicId: newTopicId }])
  await fresh.untilOffset(11n)
  expect(fresh.values()).toEqual(numbered('new', 10))
  expect(values()).toEqual(numbered('old', 5))
})

test('a partition of a topic of another id than is meant is never read', async () => {
  const { client, open, topic, records } = await setUp()
  const session = await open()
  await session.publish({ partitions: [records(numbered('value', 5))] })
  const { batches, halted, loop, until } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 0n, topicId: '00000000-0000-4000-8000-000000000000' }])
  await until(() => halted.length > 0)
  expect(halted).toMatchObject([{ error: { code: 'KAFKA_TOPIC_RECREATED' } }])
  expect(batches).toEqual([])
})

test('a topic that is deleted is told, when it was missing for a while; others go on', async () => {
  const { brokers, client, open, topic, records } = await setUp()
  const gone = await createTopic('gone')
  const session = await open()
  const { halted, loop, until, untilOffset } = follow(client)
  loop.assign([topic, gone].map((name) => ({ topic: name, partition: 0, offset: 0n })))
  await session.publish({ partitions: [records(['first'])] })
  await untilOffset(1n)
  await ask(brokers, (admin) => admin.deleteTopics({ topics: [gone] }))
  await session.publish({ partitions: [records(['second'])] })
  await untilOffset(3n)
  await until(() => halted.length > 0)
  expect(halted).toMatchObject([{ at: { topic: gone }, error: { code: 'KAFKA_TOPIC_UNAVAILABLE' } }])
})

test('a topic that is about to be created is waited for', async () => {
  const { brokers, client, open } = await setUp()
  const topic = randomName('fresh')
  const { halted, loop, until, values } = follow(client)
  loop.assign([{ topic, partition: 0, offset: 0n }])
  await ask(brokers, (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false }),
  )
  const session = await open()
  const { maxMessageBytes } = await client.describeTopic(topic)
  await session.publish({ partitions: [recordsOf(topic, 0, maxMessageBytes, ['first'])] })
  await until(() => values().length === 1)
  expect(halted).toEqual([])
})

test('a broker that is killed and comes back is read on from where it was, nothing twice, nothing left out', async () => {
  await using kafka = await startPrivateKafka()
  const { brokers } = kafka
  const { client, open, topic, records } = await setUp({ brokers, partitions: 2 })
  const troubles: OutboxError[] = []
  const { batches, halted, loop, untilOffset, values } = follow(client, {
    onTrouble: (error) => troubles.push(error),
  })
  loop.assign([0, 1].map((partition) => ({ topic, partition, offset: 0n })))
  const both = (name: string) => [0, 1].map((partition) => records(numbered(name, 20), partition))
  const session = await open()
  await session.publish({ partitions: both('before') })
  await session.close()
  await Promise.all([untilOffset(21n, 0), untilOffset(21n, 1)])

  await kafka.kill()
  await expect.poll(() => troubles.length, { timeout: 20_000 }).toBeGreaterThan(0)
  await kafka.start()
  const next = await open()
  await next.publish({ partitions: both('after') })
  await Promise.all([untilOffset(42n, 0), untilOffset(42n, 1)])

  expect(troubles[0]).toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
  expect(halted).toEqual([])
  for (const partition of [0, 1]) {
    expect(values(partition)).toEqual([...numbered('before', 20), ...numbered('after', 20)])
    const own = batches.filter((batch) => batch.partition === partition)
    expect(own.slice(1).map(({ fetchedOffset }) => fetchedOffset)).toEqual(
      own.slice(0, -1).map(({ nextOffset }) => nextOffset),
    )
  }
})

test('each broker of three is killed in turn: the new leaders are read on, nothing twice, nothing left out', async () => {
  await using cluster = await startKafkaCluster()
  const { brokers } = cluster
  const { client, open, topic, records } = await setUp({ brokers, partitions: 6 })
  const partitions = [0, 1, 2, 3, 4, 5]
  const { batches, halted, loop, until, values } = follow(client)
  loop.assign(partitions.map((partition) => ({ topic, partition, offset: 0n })))
  const written: string[] = []
  const write = async (name: string): Promise<void> => {
    const session = await open()
    await session.publish({
      partitions: partitions.map((partition) => records(numbered(name, 20), partition)),
    })
    await session.close()
    written.push(...numbered(name, 20))
    await until(() => partitions.every((partition) => values(partition).length === written.length), 60_000)
  }
  await write('first')
  for (const id of [1, 2, 3]) {
    await cluster.node(id).kill()
    await write(`without-${id}`)
    await cluster.node(id).start()
  }
  await write('last')

  expect(halted).toEqual([])
  for (const partition of partitions) {
    expect(values(partition)).toEqual(written)
    const own = batches.filter((batch) => batch.partition === partition)
    expect(own.slice(1).map(({ fetchedOffset }) => fetchedOffset)).toEqual(
      own.slice(0, -1).map(({ nextOffset }) => nextOffset),
    )
  }
})

test('a client that was closed halts the partitions instead of trying for ever', async () => {
  const client = await connectKafka({ brokers: [...sharedStack().kafka.brokers] })
  await client.close()
  const { halted, loop, until } = follow(client)
  loop.assign([{ topic: 'any', partition: 0, offset: 0n }])
  await until(() => halted.length > 0)
  expect(halted).toMatchObject([{ error: { code: 'KAFKA_SESSION_CLOSED' } }])
})
