import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { passed } from '../drained.js'
import { answer } from './child.js'
import type { Emission, Written } from './messages.js'
import { pace } from './pace.js'
import { keyOf, payloadOf } from './sample.js'

// The reference: the same records by a plain producer, acknowledged by all replicas in sync, no transaction, no database.
const kafka = new Kafka({
  clientId: 'bench-plain',
  brokers: passed('BENCH_BROKERS').split(','),
  logLevel: logLevel.NOTHING,
})
const producer = kafka.producer()
await producer.connect()
const topic = passed('BENCH_TOPIC')

answer<Emission, readonly Written[]>(
  (emission) =>
    pace(emission, async (number) => {
      const now = new Date()
      await producer.send({
        topic,
        acks: -1,
        messages: [
          {
            key: keyOf(number),
            value: payloadOf(number),
            headers: {
              ce_specversion: '1.0',
              ce_type: 'bench.happened',
              ce_source: 'bench',
              ce_id: randomUUID(),
              ce_time: now.toISOString(),
              'content-type': 'application/json',
            },
          },
        ],
      })
    }),
  () => producer.disconnect(),
)
