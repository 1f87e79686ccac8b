// Publishes one transaction over three partitions in a process of its own, which the fault agent may kill.
import { connectKafka, openSession, PartitionRecords } from '@oncebox/kafka'

const { brokers, topic, progress, transactionalIds, name } = JSON.parse(process.argv[2] ?? '{}')
const client = await connectKafka({ brokers })
const claim = { topic: progress, partition: 0, key: Buffer.from('claim'), value: Buffer.from(name) }
const session = await openSession(client, { transactionalIds, claim })
const partitions = [0, 1, 2].map((partition) => {
  const records = new PartitionRecords(topic, partition, { maxMessageBytes: 1_000_000 })
  for (let number = 0; number < 100; number++) {
    const value = Buffer.from(`${name}-${number}`)
    records.append(Date.now(), value, -1, -1, 0, value.length, 0, [])
  }
  return records
})
await session.publish({ partitions })
await session.close()
await client.close()
console.log('published')
