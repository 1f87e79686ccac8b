import { afterEach, expect, test } from 'vitest'
import { Kafka, logLevel } from 'kafkajs'
import { createTopic, startKafkaCluster, type KafkaCluster } from '@internal/stack'
import { installFaultHandler } from '@oncebox/core'
import { createRelay, type Relay } from '../src/index.js'
import { adoptNow, expectToGoOn } from './adopting.js'
import { insertEvent, setUp, untilPublished, type Bed } from './bed.js'

afterEach(() => installFaultHandler(undefined))

// Kafka 4.3 acknowledges the end of a transaction and skips its marker on a partition that has no leader at that moment
// (KAFKA-20734). The coordinators and the progress topic live on broker 1; the topic of the events is on broker 2 only.
test('a commit whose marker Kafka skipped: the relay stops, typed, adopt brings its events back, and the relay goes on', async () => {
  await using kafka = await startKafkaCluster({ brokers: 2, coordinatorsOn: 1 })
  const { brokers } = kafka
  const progress = await createTopic('progress', {
    brokers,
    assignment: [[1]],
    config: { 'cleanup.policy': 'compact' },
  })
  const bystanders = await createTopic('bystanders', { brokers, assignment: [[1]] })
  await using bed = await setUp({
    kafka: { brokers, assignment: [[2]] },
    relay: { progress: { topic: progress } },
  })
  {
    await using relay = createRelay(bed.options)
    await relay.start()
    const torn = untilPublished(bed.relayName, 3)
    whenProduced(() => killLeaderOf(kafka, bed.topic))
    await emitTogether(bed, ['a', 'b', 'a'])
    await torn
    // Two more, so that the id of the first comes round again: its commit is complete, for the coordinator.
    for (let n = 0; n < 2; n++) await publishTo(bed, bystanders)
    await kafka.node(2).start()
    await expectTorn(relay, () => bed.emit(['a']))
  }
  const plan = await adoptNow(bed, { dryRun: true, decidedWithinMs: 500 }).catch((error: unknown) => error)
  expect(plan).toMatchObject({ code: 'KAFKA_PARTITION_UNDECIDED' })
  expect(await adoptNow(bed)).toMatchObject({
    outcome: 'adopted',
    ended: [{ topic: bed.topic, partition: 0, how: 'commit', events: 3 }],
    published: 1,
  })
  await bed.pool.query('delete from outbox.events where topic = $1', [bystanders]) // the judge reads one topic
  await expectToGoOn(bed)
})

/** The relay stops by itself, sooner or later, when it is given work for the partition. */
async function expectTorn(relay: Relay, work: () => Promise<void>): Promise<void> {
  const stopped = expect(relay.stopped).rejects.toMatchObject({
    code: 'KAFKA_TRANSACTION_TORN',
    remedy: expect.stringContaining('oncebox adopt') as string,
  })
  await work()
  await stopped
}

function whenProduced(strike: () => Promise<void>): void {
  installFaultHandler(async (name) => {
    if (name !== 'relay.produce.acked') return
    installFaultHandler(undefined)
    await strike()
  })
}

/** Kills broker 2 and waits until the controller has noticed: before, a coordinator would wait for it instead of skipping. */
async function killLeaderOf(kafka: KafkaCluster, topic: string): Promise<void> {
  await kafka.node(2).kill()
  const client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING, retry: { retries: 0 } })
  const admin = client.admin()
  await admin.connect()
  const hasNoLeader = async (): Promise<boolean> => {
    try {
      await admin.fetchTopicMetadata({ topics: [topic] })
      return false
    } catch (error) {
      return String(error).includes('no leader')
    }
  }
  await expect.poll(hasNoLeader, { timeout: 30_000 }).toBe(true)
  await admin.disconnect()
}

/** In one transaction, so in one window and one batch. */
async function emitTogether(bed: Bed, keys: readonly string[]): Promise<void> {
  const client = await bed.pool.connect()
  await client.query('begin')
  for (const key of keys) await client.query(insertEvent, [bed.topic, key, Buffer.from('{}')])
  await client.query('commit')
  client.release()
}

async function publishTo(bed: Bed, topic: string): Promise<void> {
  const published = untilPublished(bed.relayName, 1)
  await bed.pool.query(insertEvent, [topic, 'elsewhere', Buffer.from('{}')])
  await published
}
