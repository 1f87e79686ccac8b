import kafkajs, { type KafkaMessage } from 'kafkajs'
import pg from 'pg'
import { EffectClock } from './effect-clock.js'
import { insertEffect, insertEffects } from './effects.js'
import { consumerDrain } from './settings.js'

// The same statements, as one writes them by hand into kafkajs's consumer: no retries, no dead letters, no fences.
const { Kafka, logLevel } = kafkajs
const drain = consumerDrain()
const clock = new EffectClock(drain)
const pool = new pg.Pool({ connectionString: drain.url, max: drain.concurrency + 2 })
await pool.query(`create table if not exists positions (partition integer primary key, next bigint not null)`)
await pool.query(
  `create table if not exists marks (consumer text, source text, id uuid, event_at timestamptz,
                                     primary key (consumer, source, id, event_at))`,
)
const insertMark = `insert into marks values ($1, $2, $3, $4) on conflict do nothing returning 1`
const insertMarks = `
  insert into marks select $1, * from unnest($2::text[], $3::uuid[], $4::timestamptz[])
  on conflict do nothing returning id`
const movePosition = `
  insert into positions values ($1, $2) on conflict (partition) do update set next = excluded.next where positions.next < excluded.next`

interface Event {
  readonly id: string
  readonly source: string
  readonly at: Date
  readonly offset: string
  readonly payload: { readonly orderId: string; readonly value: number }
}

function eventOf({ headers = {}, value, offset }: KafkaMessage): Event {
  return {
    id: String(headers['ce_id']),
    source: String(headers['ce_source']),
    at: new Date(String(headers['ce_time'])),
    offset,
    payload: JSON.parse(String(value)) as Event['payload'], // what write-events.ts wrote
  }
}

async function inTransaction(work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await work(client)
    await client.query('commit')
  } finally {
    client.release()
  }
}

async function handleAll(partition: number, events: readonly Event[]): Promise<void> {
  await inTransaction(async (client) => {
    let fresh = events
    if (drain.mode === 'position')
      await client.query({
        name: 'position',
        text: movePosition,
        values: [partition, BigInt(events.at(-1)?.offset ?? 0) + 1n],
      })
    else {
      const { rows } = await client.query<{ id: string }>({
        name: 'marks',
        text: insertMarks,
        values: [
          drain.name,
          events.map(({ source }) => source),
          events.map(({ id }) => id),
          events.map(({ at }) => at),
        ],
      })
      const inserted = new Set(rows.map(({ id }) => id))
      fresh = events.filter(({ id }) => inserted.has(id))
    }
    await client.query({
      name: 'effects',
      text: insertEffects,
      values: [
        fresh.map(({ id }) => id),
        fresh.map(({ payload }) => payload.orderId),
        fresh.map(({ payload }) => payload.value),
      ],
    })
  })
  clock.add(events.length)
}

async function handleOne(partition: number, { id, source, at, offset, payload }: Event): Promise<void> {
  await inTransaction(async (client) => {
    if (drain.mode === 'position')
      await client.query({ name: 'position', text: movePosition, values: [partition, BigInt(offset) + 1n] })
    else await client.query({ name: 'mark', text: insertMark, values: [drain.name, source, id, at] })
    await client.query({ name: 'effect', text: insertEffect, values: [id, payload.orderId, payload.value] })
  })
  clock.add(1)
}

const kafka = new Kafka({ clientId: 'bench', brokers: [...drain.brokers], logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: drain.name, readUncommitted: false })
await consumer.connect()
await consumer.subscribe({ topics: [drain.topic], fromBeginning: true })
let isOver = false
await consumer.run({
  autoCommit: false,
  partitionsConsumedConcurrently: drain.concurrency,
  eachBatch: async ({ batch, heartbeat }) => {
    const events = batch.messages.map(eventOf)
    if (drain.per === 'batch') return await handleAll(batch.partition, events)
    for (const event of events) {
      if (isOver) return
      await handleOne(batch.partition, event)
      await heartbeat()
    }
  },
})
await clock.end
isOver = true
await consumer.disconnect()
await pool.end()
