import { describeVerdict } from '@internal/audit'
import { connectKafka, openSession, PartitionRecords, readLastValue, type KafkaClient } from '@oncebox/kafka'
import { expect, test } from 'vitest'
import { createRelay } from '../src/index.js'
import { setUp, untilIdleAt, untilPublished, type Bed } from './bed.js'

const progressOf = ({ relayName }: Bed) => ({ topic: `${relayName}.progress`, partition: 0 })

/** Takes the shard as a start does, and leaves without a batch; with more claims if asked for, as runs that crash in a loop do. */
async function claim(client: KafkaClient, bed: Bed, more = 0): Promise<bigint> {
  const { topic, partition } = progressOf(bed)
  const key = Buffer.from('claim')
  await using session = await openSession(client, {
    transactionalIds: [`oncebox:${bed.relayName}:0:a`, `oncebox:${bed.relayName}:0:b`],
    claim: { topic, partition, key, value: Buffer.from('{}') },
  })
  const records = new PartitionRecords(topic, partition, { maxMessageBytes: 1_000_000 })
  for (let left = more; left > 0; left--) records.append(Date.now(), key, 0, key.length, -1, 0, 0, [])
  if (more > 0) await session.publish({ partitions: [records] })
  return session.claimOffset
}

const lastPosition = async (client: KafkaClient, bed: Bed) =>
  await readLastValue(client, {
    ...progressOf(bed),
    key: Buffer.from('position'),
    beforeOffset: await claim(client, bed),
  })

test('a position that lies behind 10,000 claims is committed again as it is, once, and publishing goes on from it', async () => {
  await using bed = await setUp()
  const run = async (keys: readonly string[]): Promise<void> => {
    await using relay = createRelay(bed.options)
    const published = untilPublished(bed.relayName, keys.length)
    await bed.emit(keys)
    await relay.start()
    await published
    await untilIdleAt(bed)
  }
  await run(['a', 'b'])
  await using client = await connectKafka(bed.options.kafka)
  const first = await lastPosition(client, bed)
  await claim(client, bed, 10_100)

  await run([])
  const second = await lastPosition(client, bed)
  expect(second?.value).toEqual(first?.value)
  expect(Number((second?.offset ?? 0n) - (first?.offset ?? 0n))).toBeGreaterThan(10_000)

  await run([]) // close enough now
  expect(await lastPosition(client, bed)).toEqual(second)
  await run(['c', 'a'])
  expect(describeVerdict(await bed.verdict())).toEqual([])
})
