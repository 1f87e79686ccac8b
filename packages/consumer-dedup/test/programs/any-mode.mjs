// A consumer process of any mode, for tests that kill, stop or poison it. Its effects are rows of `effects`, in `kafka` mode
// events of the output topic, in `redis` mode elements of a list. Says 'started' on stdout, stops on SIGTERM.
// Argument: JSON { mode, driver?, url, brokers, redisUrl, topic, outputTopic, name, group, batches?, options?, failing?, killAtValue?, handlerMs? }
import { createConsumer, PermanentError } from '@oncebox/consumer-dedup'
import { defineTopic } from '@oncebox/core'
import { fromKnex, fromPg } from '@oncebox/outbox'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { Redis } from 'ioredis'
import knexFactory from 'knex'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { z } from 'zod'

const settings = JSON.parse(process.argv[2])
const { mode, driver = 'pg', url, topic, name, group, batches = false, options = {} } = settings
/** By value: how often the handler throws; -1 is for ever, 'permanent' gives up at once. */
const failing = new Map(
  Object.entries(settings.failing ?? {}).map(([value, times]) => [Number(value), times]),
)
const orders = defineTopic(topic, {
  events: { 'order.placed': z.object({ orderId: z.string(), value: z.int() }) },
})
const effects = defineTopic(settings.outputTopic, {
  key: ({ key }) => key,
  events: { 'effect.made': z.object({ id: z.string(), key: z.string(), value: z.int() }) },
})
const pool = new pg.Pool({ connectionString: url, max: 8 })
pool.on('error', () => undefined)
const knex = knexFactory({ client: 'pg', connection: url, pool: { min: 0, max: 8 } })
const insert = 'insert into effects (id, key, value, consumer) values ($1, $2, $3, $4)'

const redis = new Redis(settings.redisUrl, { lazyConnect: true })
const dedup = () =>
  createRedisDedup({
    redis,
    consumer: name,
    leaseMs: 1_000,
    retentionMs: 1_209_600_000,
    onAmnesia: 'stop',
  })

const common = { name, group, topics: [orders], kafka: { brokers: settings.brokers }, mode, ...options }
const consumer =
  mode === 'inbox' || mode === 'position'
    ? createConsumer({ ...common, db: driver === 'knex' ? fromKnex(knex) : fromPg(pool) })
    : createConsumer({
        ...common,
        ...(mode === 'kafka' && { source: 'test', outputs: [effects] }),
        ...(mode === 'redis' && { dedup: dedup() }),
      })

async function handle({ id, payload }, context) {
  if (payload.value === settings.killAtValue) process.kill(process.pid, 'SIGKILL')
  if (settings.handlerMs) await sleep(settings.handlerMs)
  const times = failing.get(payload.value)
  if (times === 'permanent') throw new PermanentError('no order like this')
  if (times !== undefined && times !== 0) {
    failing.set(payload.value, times - 1)
    throw new Error(`value ${payload.value} fails`)
  }
  const effect = { id, key: payload.orderId, value: payload.value }
  if (context.send !== undefined) return context.send('effect.made', effect)
  if (context.write !== undefined) {
    const list = `${name}:effects`
    return context.write({ keys: [list], commands: [['rpush', list, JSON.stringify(effect)]] })
  }
  if (context.tx === undefined) return await pool.query(insert, [...Object.values(effect), group])
  if (driver === 'knex') return await context.tx('effects').insert({ ...effect, consumer: group })
  return await context.tx.query(insert, [...Object.values(effect), group])
}

if (batches)
  consumer.onBatch(async (events, context) => {
    for (const event of events) await handle(event, context)
  })
else consumer.on('order.placed', handle)

process.once('SIGTERM', () => void stop())
await consumer.start()
console.log('started')

async function stop() {
  await consumer.stop()
  redis.disconnect()
  await Promise.all([pool.end(), knex.destroy()])
}
