import { describeVerdict, judge, readLogBatches, readTopic } from '@internal/audit'
import { createTopic, startPrivateKafka } from '@internal/stack'
import { expect, test } from 'vitest'
import { createRelay, type RelayOptions } from '../src/index.js'
import { insertEvent, setUp, toSightings, untilPublished } from './bed.js'

test('events are compressed as the relay is told, from start to start, positions never, and all arrive once', async () => {
  await using kafka = await startPrivateKafka() // a broker whose log files can be looked at
  await using bed = await setUp()
  const topic = await createTopic('events', { partitions: 3, brokers: kafka.brokers })
  const payload = Buffer.from(JSON.stringify({ lines: Array.from({ length: 20 }, () => 'the same again') }))
  const compressions: readonly RelayOptions['compression'][] = ['lz4', { type: 'zstd', level: 6 }, 'none']
  for (const compression of compressions) {
    await using relay = createRelay({
      ...bed.options,
      kafka: { brokers: kafka.brokers },
      ...(compression && { compression }),
    })
    const published = untilPublished(bed.relayName, 100)
    await relay.start()
    for (let n = 0; n < 100; n++) await bed.pool.query(insertEvent, [topic, `key-${n % 7}`, payload])
    await published
  }

  const committed = await bed.committed(topic)
  const records = await readTopic({ ...kafka, topic, isolation: 'read_committed' })
  expect(describeVerdict(judge({ committed, published: toSightings(records, committed) }))).toEqual([])
  expect(records).toHaveLength(300)
  expect(records.every(({ value }) => value?.equals(payload))).toBe(true)

  const progress = `${bed.relayName}.progress`
  const logs = await readLogBatches({ ...kafka, topics: [topic, progress] })
  const codecs = (name: string) =>
    new Set(logs.get(name)?.flatMap(({ control, codec }) => (control ? [] : [codec])))
  expect(codecs(topic)).toEqual(new Set(['lz4', 'zstd', 'none']))
  expect(codecs(progress)).toEqual(new Set(['none']))
})
