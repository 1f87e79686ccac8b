/** A database with the outbox schema, a business table, and an outbox of two topics. */
import { createDatabase, type TestDatabase } from '@internal/stack'
import { createOutbox, defineTopic, migrateOutbox, text } from '@oncebox/outbox'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import pg from 'pg'
import { z } from 'zod'

const migrations = new URL('../migrations/', import.meta.url)
const digest = readdirSync(migrations)
  .sort()
  .reduce((hash, file) => hash.update(readFileSync(new URL(file, migrations))), createHash('sha256'))
  .digest('hex')
  .slice(0, 12)

export const orders = defineTopic('orders', {
  key: (order) => order.orderId,
  events: {
    'order.placed': z.object({ orderId: z.string(), totalCents: z.int(), placedAt: z.coerce.date() }),
    'order.checked': z.object({
      orderId: z.string().refine(async (id) => id !== 'refused-later', 'refused later'),
    }),
  },
  payloadBytesMax: 10_000,
})
export const notes = defineTopic('notes', { events: { 'note.written': z.string() }, codec: text })

export const outbox = createOutbox({ source: 'order-service', topics: [orders, notes] })

export const placed = (orderId: string) => ({
  orderId,
  totalCents: 100,
  placedAt: new Date('2026-01-02T03:04:05.678Z'),
})

export const createOutboxDatabase = (): Promise<TestDatabase> =>
  createDatabase({
    template: {
      name: `outbox-${digest}`,
      async prepare(url) {
        await migrateOutbox(url)
        const client = new pg.Client({ connectionString: url })
        await client.connect()
        await client.query('create table orders (id text primary key)')
        await client.end()
      },
    },
  })

export interface StoredEvent {
  readonly id: string
  readonly bucket: number
  readonly source: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly partition: number | null
  readonly headers: Record<string, string> | null
  readonly payload: string | null
  readonly occurred_at: Date
}

/** What is committed, in emit order. */
export async function storedEvents(client: Pick<pg.Pool, 'query'>): Promise<StoredEvent[]> {
  const { rows } = await client.query<StoredEvent>(
    `select id, bucket, source, topic, type, key, partition, headers, convert_from(payload, 'UTF8') as payload, occurred_at
       from outbox.events order by events.seq`,
  )
  return rows
}
