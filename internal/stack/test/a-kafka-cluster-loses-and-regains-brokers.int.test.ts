import { createServer, connect, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { createTopic, startKafkaCluster } from '@internal/stack'
import { Kafka, logLevel, type Admin, type PartitionMetadata } from 'kafkajs'
import { expect, onTestFinished, test } from 'vitest'
import { pollUntil } from '../src/poll-until.js'

const clientOf = (brokers: readonly string[]): Kafka =>
  new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, retry: { retries: 0 } })

const adminOf = async (brokers: readonly string[]): Promise<Admin> => {
  const admin = clientOf(brokers).admin()
  await admin.connect()
  onTestFinished(() => admin.disconnect())
  return admin
}

const partitionsOf = async (admin: Admin, topic: string): Promise<PartitionMetadata[]> =>
  (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions ?? []

const send = async (brokers: readonly string[], topic: string): Promise<void> => {
  const producer = clientOf(brokers).producer()
  await producer.connect()
  await producer.send({ topic, acks: -1, messages: [{ value: 'event' }] })
  await producer.disconnect()
}

test('of three brokers any one may be killed: the others take over, and it is in sync again after a start', async () => {
  await using cluster = await startKafkaCluster()
  const topic = await createTopic('orders', { brokers: cluster.brokers, assignment: [[2, 3, 1]] })
  const others = [cluster.node(1).address, cluster.node(3).address]
  const admin = await adminOf(others)

  await cluster.node(2).kill()
  await pollUntil('a follower leads', async () => {
    const [partition] = await partitionsOf(admin, topic)
    return partition?.leader === 3 && partition.isr.length === 2
  })
  await send(others, topic)
  await cluster.node(2).start()
  await pollUntil('all are in sync', async () => (await partitionsOf(admin, topic))[0]?.isr.length === 3)

  await admin.fetchOffsets({ groupId: 'any' }).catch(() => []) // a coordinator is needed for the first time
  await pollUntil('the coordinators have three replicas', async () => {
    const coordinators = await partitionsOf(admin, '__consumer_offsets')
    return coordinators.length > 0 && coordinators.every(({ replicas }) => replicas.length === 3)
  })
})

test('of two brokers the second may be killed: its partition has no leader, and coordinators stay with the first', async () => {
  await using cluster = await startKafkaCluster({ brokers: 2, coordinatorsOn: 1 })
  const topic = await createTopic('orders', { brokers: cluster.brokers, assignment: [[2]] })
  const admin = await adminOf([cluster.node(1).address])

  await cluster.node(2).kill()

  // kafkajs makes an error of a partition without a leader.
  const complaint = (): Promise<string> =>
    partitionsOf(admin, topic).then(String, ({ message }) => String(message))
  await pollUntil('the partition has no leader', async () => (await complaint()).includes('no leader'))
  for (const coordinators of ['__transaction_state', '__consumer_offsets']) {
    const leaders = (await partitionsOf(admin, coordinators)).map(({ leader }) => leader)
    expect(new Set(leaders)).toEqual(new Set([1]))
  }
})

test('a paused broker answers nothing, and answers when it is resumed', async () => {
  await using cluster = await startKafkaCluster({ brokers: 1 })
  const admin = await adminOf(cluster.brokers)
  cluster.node(1).pause()
  const answer = admin.listTopics().then(() => 'answered')
  const silence = new Promise((resolve) => setTimeout(resolve, 300)).then(() => 'silent')
  expect(await Promise.race([answer, silence])).toBe('silent')
  cluster.node(1).resume()
  expect(await answer).toBe('answered')
})

test('each node advertises the proxy in front of it to those who come through a proxy, and itself to the others', async () => {
  const proxies: string[] = []
  await using cluster = await startKafkaCluster({
    brokers: 2,
    proxiedAt: async (upstream) => {
      const proxy = createServer((socket) => void socket.pipe(connect(upstream)).pipe(socket))
      onTestFinished(() => void proxy.close())
      await once(proxy.listen(0, '127.0.0.1'), 'listening')
      const { port } = proxy.address() as AddressInfo // of a TCP server that listens
      proxies.push(`127.0.0.1:${port}`)
      return port
    },
  })
  const addressesSeenFrom = async (address: string): Promise<string[]> => {
    const admin = await adminOf([address])
    return (await admin.describeCluster()).brokers.map(({ host, port }) => `${host}:${port}`).toSorted()
  }
  for (const proxy of proxies) expect(await addressesSeenFrom(proxy)).toEqual(proxies.toSorted())
  for (const broker of cluster.brokers)
    expect(await addressesSeenFrom(broker)).toEqual(cluster.brokers.toSorted())
})
