import { createTopic, randomName, startKafkaCluster, type KafkaCluster } from '@internal/stack'
import { installFaultHandler } from '@oncebox/core'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import { clusterOf } from '../src/cluster.js'
import { Deadline } from '../src/deadline.js'
import {
  connectKafka,
  holdIds,
  openSession,
  readPartition,
  readUndecided,
  untilDecided,
  type KafkaClient,
  type OpenSessionOptions,
} from '../src/index.js'
import { openTransactions } from '../src/partition-offsets.js'
import { recordsOf } from './fixture.js'

// Kafka 4.3 acknowledges the end of a transaction and skips its marker on a partition that has no leader at that moment
// (KAFKA-20734). The coordinators live on broker 1; a topic whose only replica is on broker 2 has no leader when that
// is killed.
let kafka: KafkaCluster
let client: KafkaClient
let bystanders: string

beforeAll(async () => {
  kafka = await startKafkaCluster({ brokers: 2, coordinatorsOn: 1 })
  client = await connectKafka({ brokers: kafka.brokers })
  bystanders = await createTopic('bystanders', { brokers: kafka.brokers, assignment: [[1]] })
})
afterAll(async () => {
  await client.close()
  await kafka[Symbol.asyncDispose]()
})
afterEach(() => installFaultHandler(undefined))

const lonelyTopic = (): Promise<string> =>
  createTopic('lonely', { brokers: kafka.brokers, assignment: [[2]] })

const records = (topic: string, text: string) => recordsOf(topic, 0, 1_000_000, [text])

async function open(options: OpenSessionOptions) {
  const session = await openSession(client, { topicPatienceMs: 60_000, ...options })
  onTestFinished(() => session.close())
  return session
}

const newIds = (): [string, string] => [randomName('a'), randomName('b')]

/** Kills broker 2 and waits until the controller has noticed: before, a coordinator would wait for it instead of skipping. */
async function killLeaderOf(topic: string): Promise<void> {
  await kafka.node(2).kill()
  using deadline = new Deadline(30_000, `waiting until ${topic} has no leader`)
  const leader = async () => (await clusterOf(client).layout(topic, deadline, { refresh: true })).leaders[0]
  await expect.poll(leader, { timeout: 30_000 }).toBe(-1)
}

/** Kills at the first time that a transaction is produced and not ended. */
function whenProduced(strike: () => Promise<void>): void {
  installFaultHandler(async (name) => {
    if (name !== 'relay.produce.acked') return
    installFaultHandler(undefined)
    await strike()
  })
}

/** A session that has committed a record to a partition without a leader, which is led again by now. */
async function tornCommit() {
  const topic = await lonelyTopic()
  const transactionalIds = newIds()
  const session = await open({ transactionalIds })
  whenProduced(() => killLeaderOf(topic))
  await session.publish({ partitions: [records(topic, 'committed')], deadlineMs: 60_000 })
  // Two more, so that the id of the first comes round again: it could begin anew, so its commit is complete.
  for (const text of ['on b', 'on a'])
    await session.publish({ partitions: [records(bystanders, text)], deadlineMs: 60_000 })
  await kafka.node(2).start()
  return { topic, transactionalIds, session }
}

const torn = {
  code: 'KAFKA_TRANSACTION_TORN',
  outcome: 'not-committed',
  failureClass: 'application-recoverable',
}
const impatient = { topicPatienceMs: 3_000 }

test('a session writes no more to a partition on which its commit marker was skipped, nor does the next one', async () => {
  const { topic, transactionalIds, session } = await tornCommit()
  const again = session.publish({ partitions: [records(topic, 'again')], deadlineMs: 10_000 })
  await expect(again).rejects.toMatchObject({ ...torn, details: { topic, partition: 0, offset: '0' } })
  expect(session.state).toBe('ready')
  await session.publish({ partitions: [records(bystanders, 'elsewhere')] })

  const next = await open({ transactionalIds, ...impatient })
  await expect(next.publish({ partitions: [records(topic, 'again')] })).rejects.toMatchObject(torn)
  expect(next.state).toBe('ready')
  // What was acknowledged is still there, to be committed by whoever repairs it: no abort has touched it.
  using deadline = new Deadline(10_000, 'looking')
  expect(await openTransactions(clusterOf(client), { topic, partition: 0 }, deadline)).toHaveLength(1)
})

// A commit of the same id would bring the aborted records back: published twice, though every offset looked right.
test('a session does not write to a partition on which the abort marker of the one before was skipped', async () => {
  const topic = await lonelyTopic()
  const transactionalIds = newIds()
  const dying = await open({ transactionalIds })
  whenProduced(async () => {
    await dying.close()
    await killLeaderOf(topic)
  })
  const lost = dying.publish({ partitions: [records(topic, 'aborted')], deadlineMs: 60_000 })
  await expect(lost).rejects.toMatchObject({ outcome: 'not-committed' })
  const next = await open({ transactionalIds, ...impatient })
  await kafka.node(2).start()
  await expect(
    next.publish({ partitions: [records(topic, 'again')], deadlineMs: 30_000 }),
  ).rejects.toMatchObject(torn)
})

// Its claim would commit an aborted position with it, and the events of that position would be lost.
test('a session does not claim a progress partition on which a marker of its own was skipped', async () => {
  const { topic, transactionalIds } = await tornCommit()
  const claim = { topic, partition: 0, key: Buffer.from('claim'), value: Buffer.from('claim') }
  await expect(openSession(client, { transactionalIds, claim, ...impatient })).rejects.toMatchObject({
    code: 'KAFKA_PROGRESS_BLOCKED',
    outcome: 'not-committed',
  })
})

/** What read_committed readers see. */
async function visible(topic: string): Promise<string[]> {
  await untilDecided(client, topic, { withinMs: 30_000 })
  const seen: string[] = []
  for await (const { value } of readPartition(client, { topic, partition: 0 })) seen.push(String(value))
  return seen
}

const undecided = async (topic: string) => {
  const seen: { readonly text: string; readonly outcome: string }[] = []
  for await (const { record, outcome } of readUndecided(client, { topic, partition: 0, fromOffset: 0n }))
    seen.push({ text: String(record.value), outcome })
  return seen
}

test.for([
  ['commit', ['committed']],
  ['abort', []],
] as const)('whoever holds the id can end it there: %s', async ([how, seen]) => {
  const { topic, transactionalIds, session } = await tornCommit()
  await session.close()
  await using held = await holdIds(client, { transactionalIds, transactionTimeoutMs: 30_000 })
  const found = await held.tornOn({ topic, partition: 0 }, { patienceMs: 1_000 })
  expect(found).toMatchObject([
    { topic, partition: 0, transactionalId: transactionalIds[0], startOffset: 0n },
  ])
  expect(await undecided(topic)).toEqual([{ text: 'committed', outcome: 'open' }])
  await expect(untilDecided(client, topic, { withinMs: 500 })).rejects.toMatchObject({
    code: 'KAFKA_PARTITION_UNDECIDED',
    details: { producerIds: [String(found[0]?.producerId)] },
  })
  for (const each of found) await held.end(each, how)
  expect(await held.tornOn({ topic, partition: 0 }, { patienceMs: 0 })).toEqual([])
  expect(await visible(topic)).toEqual(seen)

  const next = await open({ transactionalIds, ...impatient })
  await next.publish({ partitions: [records(topic, 'again')] })
  expect(await visible(topic)).toEqual([...seen, 'again'])
})
