import { createConsumer } from '@oncebox/consumer-dedup'
import { channels } from '@oncebox/core'
import { defineTopic, fromPg } from '@oncebox/outbox'
import pg from 'pg'
import { z } from 'zod'
import { EffectClock } from './effect-clock.js'
import { insertEffect, insertEffects } from './effects.js'
import { consumerDrain } from './settings.js'

const drain = consumerDrain()
const clock = new EffectClock(drain)
const topic = defineTopic(drain.topic, {
  events: { 'bench.happened': z.object({ orderId: z.string(), value: z.int(), note: z.string() }) },
})
const pool = new pg.Pool({ connectionString: drain.url, max: drain.concurrency + 2 })
const consumer = createConsumer({
  group: drain.name,
  topics: [topic],
  db: fromPg(pool),
  kafka: { brokers: [...drain.brokers] },
  mode: drain.mode,
  concurrency: drain.concurrency,
  batch: { eventsMax: drain.per === 'batch' ? 10_000 : 1 },
})
if (drain.per === 'event')
  consumer.on('bench.happened', ({ id, payload }, { tx }) =>
    tx.query({ name: 'effect', text: insertEffect, values: [id, payload.orderId, payload.value] }),
  )
else
  consumer.onBatch((events, { tx }) =>
    tx.query({
      name: 'effects',
      text: insertEffects,
      values: [
        events.map(({ id }) => id),
        events.map(({ payload }) => payload.orderId),
        events.map(({ payload }) => payload.value),
      ],
    }),
  )
channels.consumerDeadLettered.subscribe((letter) => {
  throw new Error(`an event was given up`, { cause: (letter as { readonly error: unknown }).error })
})
await consumer.start()
// Counted from outside: whoever listens to each event pays for each message.
let counted = 0
const looking = setInterval(() => {
  const { handled } = consumer.counts
  clock.add(handled - counted)
  counted = handled
}, 2)
await clock.end
clearInterval(looking)
await consumer.stop()
await pool.end()
