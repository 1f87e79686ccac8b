import {
  createConsumer,
  parkKey,
  PermanentError,
  retryTopics,
  type ConsumedEvent,
  type EventMetadata,
  type HandlerContext,
} from '@oncebox/consumer-dedup'
import { defineTopic } from '@oncebox/core'
import { createRedisDedup } from '@oncebox/consumer-dedup/redis'
import { fromKnex, fromPg } from '@oncebox/outbox'
import { Redis } from 'ioredis'
import knexFactory from 'knex'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { z } from 'zod'
import { effectsList, type ProgramSettings } from './consumer-process.js'

// A consumer process of any mode, for tests that kill, stop or poison it. Its effects are rows of `effects`, in `kafka` mode
// events of the output topic, in `redis` mode elements of a list. Says 'started' on stdout, stops on SIGTERM. Argument: ProgramSettings as JSON.
const settings = JSON.parse(process.argv[2] ?? '') as ProgramSettings // what consumer-process.ts passes
const { mode, driver = 'pg', name, group, options = {} } = settings
/** No attempt helps: `retry.exclude` of the consumer has it. */
class Refused extends Error {}
const retry = { ...options.retry, exclude: [Refused] }
const failing = new Map(
  Object.entries(settings.failing ?? {}).map(([value, times]) => [Number(value), times]),
)
const orders = defineTopic(settings.topic, {
  events: { 'order.placed': z.object({ orderId: z.string(), value: z.int() }) },
})
const effects = defineTopic(settings.outputTopic, {
  key: ({ key }) => key,
  events: { 'effect.made': z.object({ id: z.string(), key: z.string(), value: z.int() }) },
})
type Order = ConsumedEvent<'order.placed', { orderId: string; value: number }>
type Effect = { readonly id: string; readonly key: string; readonly value: number }
type Write = (effect: Effect) => Promise<unknown>

const pool = new pg.Pool({ connectionString: settings.url, max: 8 })
pool.on('error', () => undefined) // tests end connections
const knex = knexFactory({ client: 'pg', connection: settings.url, pool: { min: 0, max: 8 } })
const insert = (at: Pick<pg.ClientBase, 'query'>, { id, key, value }: Effect): Promise<unknown> =>
  at.query('insert into effects (id, key, value, consumer) values ($1, $2, $3, $4)', [id, key, value, group])

const redis = new Redis(settings.redisUrl ?? '', { lazyConnect: true })

const common = {
  name,
  group,
  topics: [orders],
  kafka: { brokers: [...settings.brokers] },
  ...options,
  retry,
} as const
const parking =
  settings.parking === undefined
    ? {}
    : {
        retry: parkKey({ ...settings.parking, inPlace: { ...settings.parking.inPlace, exclude: [Refused] } }),
      }
const tiers =
  settings.tiers === undefined
    ? {}
    : {
        retry: retryTopics({ ...settings.tiers, inPlace: { ...settings.tiers.inPlace, exclude: [Refused] } }),
      }
const outbox = { source: 'billing' }
const consumer = create()

function create() {
  if (mode === 'kafka') {
    const made = createConsumer({ ...common, ...tiers, mode, source: 'test', outputs: [effects] })
    return register(
      made,
      ({ send }) =>
        async (effect) =>
          send('effect.made', effect),
    )
  }
  if (mode === 'redis') {
    const dedup = createRedisDedup({
      redis,
      consumer: name,
      leaseMs: 1_000,
      retentionMs: 1_209_600_000,
      onAmnesia: 'stop',
    })
    const list = effectsList(name)
    return register(createConsumer({ ...common, mode, dedup }), ({ write }) => async (effect) => {
      write({ keys: [list], commands: [['rpush', list, JSON.stringify(effect)]] })
    })
  }
  if (mode === 'at-least-once' || mode === 'at-most-once')
    return register(createConsumer({ ...common, ...tiers, mode }), () => (effect) => insert(pool, effect))
  if (driver === 'knex')
    return register(
      createConsumer({ ...common, ...parking, ...tiers, mode, db: fromKnex(knex), outbox }),
      ({ tx }) =>
        (effect) =>
          tx('effects').insert({ ...effect, consumer: group }),
    )
  return register(
    createConsumer({ ...common, ...parking, ...tiers, mode, db: fromPg(pool), outbox }),
    ({ tx }) =>
      (effect) =>
        insert(tx, effect),
  )
}

interface Registers<Context> {
  on(type: 'order.placed', handler: (event: Order, context: Context) => Promise<void>): void
  onBatch(handler: (events: readonly Order[], context: Context) => Promise<void>): void
  start(): Promise<void>
  stop(): Promise<void>
}

function register<Context extends HandlerContext>(
  made: Registers<Context>,
  writer: (context: Context) => Write,
): Pick<Registers<Context>, 'start' | 'stop'> {
  if (settings.batches === true)
    made.onBatch(async (events, context) => {
      for (const event of events) await handle(event, writer(context))
    })
  else made.on('order.placed', (event, context) => handle(event, writer(context)))
  return made
}

async function handle(
  { id, payload: { orderId: key, value }, metadata }: Order,
  write: Write,
): Promise<void> {
  if (settings.tiers !== undefined) await logTry(id, metadata)
  if (value === settings.killAtValue) process.kill(process.pid, 'SIGKILL')
  if (settings.handlerMs !== undefined) await sleep(settings.handlerMs)
  const times = failing.get(value)
  if (times === 'permanent') throw new PermanentError('no order like this')
  if (times === 'excluded') throw new Error('wrapped', { cause: new Refused('no order like this') })
  if (times !== undefined && times !== 0) {
    failing.set(value, times - 1)
    throw new Error(`value ${value} fails`)
  }
  if (metadata.attempt > 1) await misbehaveInQueue(value)
  await write({ id, key, value })
}

/** Whatever becomes of it: not in the transaction of the effect. */
async function logTry(
  id: string,
  { topic, partition, offset, attempt, origin }: EventMetadata,
): Promise<void> {
  const place = JSON.stringify({ topic, partition, offset })
  await pool.query('insert into tries (id, attempt, place, origin) values ($1, $2, $3, $4)', [
    id,
    attempt,
    place,
    origin ?? null,
  ])
}

async function misbehaveInQueue(value: number): Promise<void> {
  if (value === settings.hangInQueueAtValue) await new Promise(() => undefined)
  if (value !== settings.killInQueueAtValue) return
  const wanted = settings.killWhenInHand ?? 0
  if (wanted > 0) await untilInHand(wanted)
  process.kill(process.pid, 'SIGKILL')
}

/** Whoever is alive renews the leases of what it has in hand. */
async function untilInHand(count: number): Promise<void> {
  const { rows } = await pool.query<{ newest: string }>(
    'select max(lease_until)::text as newest from inbox.parked',
  )
  const renewed = 'select from inbox.parked where lease_until > $1::timestamptz'
  while (((await pool.query(renewed, [rows[0]?.newest])).rowCount ?? 0) < count) await sleep(20)
}

process.once('SIGTERM', () => void stop())
await consumer.start()
process.stdout.write('started\n')

async function stop(): Promise<void> {
  await consumer.stop()
  redis.disconnect()
  await Promise.all([pool.end(), knex.destroy()])
}
