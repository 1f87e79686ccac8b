import { EventEmitter, once } from 'node:events'
import { Kafka, logLevel } from 'kafkajs'
import { passed } from '../drained.js'
import { answer } from './child.js'
import { nowMs } from './clock.js'
import type { Arrived } from './messages.js'
import { numberOf } from './sample.js'

// One read_committed consumer for both: it notes when each event arrives, and nothing else.
const kafka = new Kafka({
  clientId: 'bench-consumer',
  brokers: passed('BENCH_BROKERS').split(','),
  logLevel: logLevel.NOTHING,
})
const consumer = kafka.consumer({
  groupId: passed('BENCH_NAME'),
  readUncommitted: false,
  maxWaitTimeInMs: 500,
})
const joined = new Promise<void>((resolve) => {
  consumer.on(consumer.events.GROUP_JOIN, () => resolve())
})
const arrivals = new EventEmitter()
let arrived: Arrived[] = []
const patienceMs = 60_000

await consumer.connect()
await consumer.subscribe({ topic: passed('BENCH_TOPIC'), fromBeginning: true })
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch }) => {
    const atMs = nowMs()
    for (const { value, offset } of batch.messages) {
      const number = numberOf(value)
      if (number !== undefined)
        arrived.push({ number, partition: batch.partition, offset: Number(offset), atMs })
    }
    arrivals.emit('arrived')
  },
})
await joined

/** Answers with what has arrived since the last question, once it is so many events. */
answer<{ readonly events: number }, readonly Arrived[]>(
  async ({ events }) => {
    const signal = AbortSignal.timeout(patienceMs)
    while (arrived.length < events)
      await once(arrivals, 'arrived', { signal }).catch(() => {
        throw new Error(`${arrived.length} of ${events} events have arrived in ${patienceMs} ms`)
      })
    const all = arrived
    arrived = []
    return all
  },
  () => consumer.disconnect(),
)
