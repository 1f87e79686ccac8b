import { randomBytes } from 'node:crypto'
import { connectKafka, encodeHeader, openSession, PartitionRecords } from '@oncebox/kafka'
import { passed } from '../drained.js'

// Fills the topic: events with ids of their own, 256 bytes of JSON, a thousand keys, six headers, in transactions of 5,000.
const client = await connectKafka({ brokers: passed('BENCH_BROKERS').split(',') })
const topic = passed('BENCH_TOPIC')
const events = Number(passed('BENCH_EVENTS'))
const session = await openSession(client, { transactionalIds: [`${topic}:a`, `${topic}:b`] })
const { partitions, maxMessageBytes } = await client.describeTopic(topic)
const eventsPerTransaction = 5_000
const valueBytes = 256
const time = new Date()
const shared = Buffer.concat(
  Object.entries({
    ce_specversion: '1.0',
    ce_type: 'bench.happened',
    ce_source: 'bench',
    ce_time: time.toISOString(),
    'content-type': 'application/json',
  }).map(([name, value]) => encodeHeader(name, value)),
)
const run = randomBytes(4).toString('hex')
const timestamp = Math.floor(time.getTime()).toString(16).padStart(12, '0')

for (let first = 0; first < events; first += eventsPerTransaction) {
  const records = Array.from(
    { length: partitions },
    (_, partition) => new PartitionRecords(topic, partition, { maxMessageBytes }),
  )
  for (let number = first; number < Math.min(events, first + eventsPerTransaction); number++) {
    const key = Buffer.from(`key-${number % 1_000}`)
    const text = `{"orderId":"${key.toString()}","value":${number},"note":"`
    const source = Buffer.concat([key, Buffer.from(`${text.padEnd(valueBytes - 2, '.')}"}`)])
    const tail = number.toString(16).padStart(8, '0')
    const id = `${timestamp.slice(0, 8)}-${timestamp.slice(8)}-7000-8000-${run.slice(0, 4)}${tail}`
    records[number % partitions]?.append(
      time.getTime(),
      source,
      0,
      key.length,
      key.length,
      source.length,
      6,
      [shared, encodeHeader('ce_id', id)],
    )
  }
  await session.publish({ partitions: records })
}
await session.close()
await client.close()
