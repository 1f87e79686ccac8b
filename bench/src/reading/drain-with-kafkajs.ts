import kafkajs, { type KafkaMessage } from 'kafkajs'
import { ReadingClock, readingDrain } from './drain.js'

const { Kafka, logLevel } = kafkajs
const drain = readingDrain()
const clock = new ReadingClock(drain)
const kafka = new Kafka({ clientId: 'bench', brokers: [...drain.brokers], logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: drain.name, readUncommitted: false })
await consumer.connect()
await consumer.subscribe({ topics: [drain.topic], fromBeginning: true })
await consumer.run({
  autoCommit: false,
  partitionsConsumedConcurrently: drain.partitions,
  eachBatch: async ({ batch }) => clock.add(batch.messages.length, bytesOf(batch.messages)),
})
await clock.end
await consumer.disconnect()

function bytesOf(messages: readonly KafkaMessage[]): number {
  let bytes = 0
  for (const { key, value, headers = {} } of messages) {
    bytes += (key?.length ?? 0) + (value?.length ?? 0)
    for (const [name, header] of Object.entries(headers)) bytes += name.length + (header?.length ?? 0)
  }
  return bytes
}
