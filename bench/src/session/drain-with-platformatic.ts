import { compatibilityPartitioner, Producer, stringSerializer } from '@platformatic/kafka'
import { measure, sessionDrain } from './drain.js'
import { sharedHeaders } from './sample-event.js'

const drain = sessionDrain()
// Its defaults name producer 0, epoch 0, which the broker takes for a claim and fences; -1 asks for new ones.
const newProducer = { producerId: -1n, producerEpoch: -1 }
const producer = new Producer<Buffer, Buffer, string, string>({
  clientId: 'bench',
  bootstrapBrokers: [...drain.brokers],
  transactionalId: drain.name,
  idempotent: true,
  compression: drain.compression,
  ...newProducer,
  serializers: { headerKey: stringSerializer, headerValue: stringSerializer },
  partitioner: compatibilityPartitioner,
  timeout: 30_000, // also the transaction's
  // Without the short retry, a transaction waits up to a second for the one before it.
  retryDelay: 10,
  retries: 1_000,
})
await measure(drain, async (transactions) => {
  for (const events of transactions) {
    const transaction = await producer.beginTransaction(newProducer)
    await transaction.send({
      acks: -1,
      messages: events.map(({ key, value, id, time }) => ({
        topic: drain.topic,
        key,
        value,
        headers: { ...sharedHeaders, ce_id: id, ce_time: time },
      })),
    })
    await transaction.commit()
  }
})
await producer.close()
