import { codecFor } from '@oncebox/kafka'
import kafkajs from 'kafkajs'
import { measure, sessionDrain } from './drain.js'
import { sharedHeaders } from './sample-event.js'

const drain = sessionDrain()
const { CompressionCodecs, CompressionTypes, Kafka, logLevel, Partitioners } = kafkajs
const codec = codecFor(drain.compression)
const compression = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}[drain.compression]
// It brings gzip. The others are plugged in, and here they are the same libraries as ours: the clients are compared.
if (codec !== undefined && codec.type !== 'gzip') {
  const plugged = { compress: ({ buffer }: { readonly buffer: Buffer }) => codec.compress(buffer) }
  Object.assign(CompressionCodecs, { [compression]: () => plugged })
}
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
      compression,
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
