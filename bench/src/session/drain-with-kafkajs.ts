import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { measure, sessionDrain } from './drain.js'
import { sharedHeaders } from './sample-event.js'

const drain = sessionDrain()
const kafka = new Kafka({ clientId: 'bench', brokers: [...drain.brokers], logLevel: logLevel.NOTHING })
// Without the short retry, each back-to-back transaction waits 300 ms for the one before it.
const producer = kafka.producer({
  transactionalId: drain.name,
  idempotent: true,
  maxInFlightRequests: 1,
  createPartitioner: Partitioners.DefaultPartitioner,
  retry: { retries: 10, initialRetryTime: 10 },
})
await producer.connect()
await measure(drain, async (transactions) => {
  for (const events of transactions) {
    const transaction = await producer.transaction()
    await transaction.send({
      topic: drain.topic,
      acks: -1,
      messages: events.map(({ key, value, id, time }) => ({
        key,
        value,
        headers: { ...sharedHeaders, ce_id: id, ce_time: time },
      })),
    })
    await transaction.commit()
  }
})
await producer.disconnect()
