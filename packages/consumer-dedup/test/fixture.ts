/** What the tests of consumers share: a migrated database, topics, records as a relay would publish them, named waits. */
import { createDatabase, sharedStack, createTopic, type TestDatabase } from '@internal/stack'
import { migrateInbox } from '@oncebox/consumer-dedup'
import {
  channels,
  defineTopic,
  delay,
  envelopeHeaders,
  installFaultHandler,
  json,
  type AnyTopic,
  type FaultPoint,
} from '@oncebox/core'
import { createOutbox, fromPg, migrateOutbox } from '@oncebox/outbox'
import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { Kafka, logLevel, type KafkaConfig, type Producer } from 'kafkajs'
import pg from 'pg'
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'

const migrationFolders = ['../migrations/', '../../outbox/migrations/'].map(
  (path) => new URL(path, import.meta.url),
)
const digest = migrationFolders
  .flatMap((folder) => readdirSync(folder).map((name) => readFileSync(new URL(name, folder))))
  .reduce((hash, migration) => hash.update(migration), createHash('sha256'))
  .digest('hex')
  .slice(0, 12)

/** Effects go to an append-only table without any unique constraint: a doubled effect shows. */
async function prepare(url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url })
  try {
    await migrateOutbox(fromPg(pool))
    await migrateInbox(fromPg(pool))
    await pool.query(
      `create table effects (number bigint generated always as identity, id text not null, key text, value integer not null, consumer text);
       create table tries (number bigint generated always as identity, id text not null, attempt integer not null, place jsonb not null, origin jsonb, at timestamptz not null default clock_timestamp())`,
    )
  } finally {
    await pool.end()
  }
}

/** A database with the schemas of inbox and outbox and the table of effects. */
export const createInboxDatabase = (serverUrl?: string): Promise<TestDatabase> =>
  createDatabase({
    template: { name: `inbox-${digest}`, prepare },
    ...(serverUrl === undefined ? {} : { serverUrl }),
  })

/** A topic of orders under a name of its own. */
export function defineOrders(name: string) {
  return defineTopic(name, {
    key: (order) => order.orderId,
    events: {
      'order.placed': z.object({ orderId: z.string(), value: z.int() }),
      'order.cancelled': z.object({ orderId: z.string() }),
    },
  })
}

const charges = defineTopic('charges', {
  key: ({ orderId }) => orderId,
  events: { 'charge.made': z.object({ orderId: z.string() }) },
})
export const billing = createOutbox({ source: 'billing', topics: [charges] })

export async function createOrders(partitions = 1): Promise<ReturnType<typeof defineOrders>> {
  return defineOrders(await createTopic('orders', { partitions }))
}

export const brokers = (): string[] => [...sharedStack().kafka.brokers]

export interface Sent {
  readonly id: string
  readonly key: string
  readonly value: number
  /** The record has no key. */
  readonly isKeyless?: boolean
  readonly partition?: number
  readonly type?: string
}

/** Events with ids of their own, values from 0, over `keys` keys in turn. */
export function events(count: number, { keys = 5, from = 0 } = {}): Sent[] {
  return Array.from({ length: count }, (_, index) => ({
    id: uuid7(),
    key: `key-${(from + index) % keys}`,
    value: from + index,
  }))
}

/** Publishes events with the envelope that a relay gives them. */
export async function publish(
  topic: Pick<AnyTopic, 'name'>,
  sent: readonly Sent[],
  to: readonly string[] = brokers(),
  sasl?: KafkaConfig['sasl'],
): Promise<void> {
  const send = (producer: Producer): Promise<unknown> =>
    producer.send({
      topic: topic.name,
      messages: sent.map(({ id, key, value, isKeyless = false, partition, type = 'order.placed' }) => ({
        key: isKeyless ? null : key,
        value: Buffer.from(json.encode({ orderId: key, value })),
        headers: {
          [envelopeHeaders.specVersion]: '1.0',
          [envelopeHeaders.id]: id,
          [envelopeHeaders.type]: type,
          [envelopeHeaders.source]: 'orders',
          [envelopeHeaders.time]: new Date().toISOString(),
          [envelopeHeaders.contentType]: 'application/json',
        },
        ...(partition === undefined ? {} : { partition }),
      })),
    })
  await withProducer(to, send, sasl)
}

export async function withProducer<Result>(
  to: readonly string[],
  work: (producer: Producer) => Promise<Result>,
  sasl?: KafkaConfig['sasl'],
): Promise<Result> {
  const kafka = new Kafka({
    brokers: [...to],
    clientId: 'test',
    logLevel: logLevel.NOTHING,
    ...(sasl === undefined ? {} : { sasl }),
  })
  const producer = kafka.producer()
  await producer.connect()
  try {
    return await work(producer)
  } finally {
    await producer.disconnect()
  }
}

export interface EffectRow {
  readonly id: string
  readonly key: string
  readonly value: number
  readonly consumer: string | null
}

/** Effects in the order of their inserts. */
export async function effects(pool: Pick<pg.Pool, 'query'>): Promise<EffectRow[]> {
  return (await pool.query<EffectRow>('select id, key, value, consumer from effects order by number')).rows
}

/** Ids that are missing, and ids that are there more than once. */
export function compare(
  sent: readonly Pick<Sent, 'id'>[],
  found: readonly Pick<EffectRow, 'id'>[],
): { lost: number; doubled: number } {
  const counts = new Map<string, number>()
  for (const { id } of found) counts.set(id, (counts.get(id) ?? 0) + 1)
  return {
    lost: sent.filter(({ id }) => !counts.has(id)).length,
    doubled: [...counts.values()].filter((count) => count > 1).length,
  }
}

/** Whether the values of each key rise. */
export function inOrder(found: readonly EffectRow[]): boolean {
  const last = new Map<string, number>()
  return found.every(({ key, value }) => {
    const rises = value > (last.get(key) ?? -1)
    last.set(key, value)
    return rises
  })
}

type Channels = typeof channels
interface Happening {
  readonly consumer: string
  readonly id?: string
  readonly error?: unknown
  readonly [field: string]: unknown
}

/** The last trouble of each consumer: the cause of a wait that was in vain. */
const troubles = new Map<string, unknown>()
for (const channel of [
  channels.consumerRepositioning,
  channels.consumerRestarting,
  channels.consumerRetrying,
  channels.consumerFailed,
]) {
  channel.subscribe((message) => {
    const { consumer, error } = message as Happening // what report.ts publishes
    troubles.set(consumer, error)
  })
}

/** Resolves when `count` matching things were published on a channel, with the last of them. Start it before the act. */
export function happens(
  name: keyof Channels,
  consumer: string,
  {
    count = 1,
    where = () => true,
    timeoutMs = 30_000,
  }: { count?: number; where?: (what: Happening) => boolean; timeoutMs?: number } = {},
): Promise<Happening> {
  const channel = channels[name]
  return new Promise((resolve, reject) => {
    let seen = 0
    const timer = setTimeout(() => {
      channel.unsubscribe(listener)
      reject(
        new Error(`${name} of ${consumer}: ${seen} of ${count} in ${timeoutMs} ms`, {
          cause: troubles.get(consumer),
        }),
      )
    }, timeoutMs)
    const listener = (message: unknown): void => {
      const what = message as Happening // what report.ts publishes
      if (what.consumer !== consumer || !where(what)) return
      seen += 1
      if (seen < count) return
      clearTimeout(timer)
      channel.unsubscribe(listener)
      resolve(what)
    }
    channel.subscribe(listener)
  })
}

export interface Gate extends Disposable {
  readonly opened: Promise<void>
  open(): void
}

/** What a test holds handlers up with. */
export function gate(): Gate {
  let open: () => void = () => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open, [Symbol.dispose]: open }
}

export interface Hold extends Gate {
  /** Somebody has come to the point, and waits there. */
  readonly reached: Promise<void>
  /** Consumers that are started in here, and what they do from then on. */
  run<Result>(work: () => Result): Result
}

const holdsOfTests = new AsyncLocalStorage<(point: FaultPoint) => void | Promise<void>>()

/** Holds up the first that comes to a fault point, of the consumers that are started in `run`. */
export function holdAt(point: FaultPoint): Hold {
  installFaultHandler((name) => holdsOfTests.getStore()?.(name))
  const here = gate()
  const { opened, open } = gate()
  let isFirst = true
  return {
    opened,
    open,
    reached: here.opened,
    run: (work) =>
      holdsOfTests.run((name) => {
        if (name !== point || !isFirst) return
        isFirst = false
        here.open()
        return opened
      }, work),
    [Symbol.dispose]: open,
  }
}

/** Waits for something that nothing announces: rows that another process writes. */
export async function eventually(holds: () => Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  for (const deadline = performance.now() + timeoutMs; !(await holds());) {
    if (performance.now() > deadline) throw new Error(`not so within ${timeoutMs} ms: ${holds.toString()}`)
    await delay(50)
  }
}
