// A consumer process for tests that kill it: appends an effect per event, says what it does on stdout, stops on SIGTERM.
// Argument: JSON { url, brokers, topic, name, group, options?, killAtValue?, handlerMs? }
import { createConsumer } from '@oncebox/consumer-dedup'
import { defineTopic } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { z } from 'zod'

const {
  url,
  brokers,
  topic,
  name,
  group,
  options = {},
  killAtValue,
  handlerMs = 0,
} = JSON.parse(process.argv[2])
const orders = defineTopic(topic, {
  events: { 'order.placed': z.object({ orderId: z.string(), value: z.int() }) },
})
const pool = new pg.Pool({ connectionString: url, max: 6 })
pool.on('error', () => undefined)

const consumer = createConsumer({
  name,
  group,
  topics: [orders],
  db: fromPg(pool),
  kafka: { brokers },
  mode: 'inbox',
  ...options,
})
consumer.on('order.placed', async ({ id, payload }, { tx }) => {
  if (payload.value === killAtValue) process.kill(process.pid, 'SIGKILL')
  if (handlerMs > 0) await sleep(handlerMs)
  await tx.query('insert into effects (id, key, value, consumer) values ($1, $2, $3, $4)', [
    id,
    payload.orderId,
    payload.value,
    group,
  ])
})
process.once('SIGTERM', () => void stop())
await consumer.start()
console.log('started')

async function stop() {
  await consumer.stop()
  await pool.end()
}
