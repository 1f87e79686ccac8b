/** A consumer on a pool that a test can point at another database, as a restore does. */
import { createConsumer, type DatabaseConsumer, type DatabaseOptions } from '@oncebox/consumer-dedup'
import type { Database } from '@oncebox/core'
import { fromPg, type PgTransaction } from '@oncebox/outbox'
import { randomName } from '@internal/stack'
import pg from 'pg'
import { brokers, type createOrders } from './fixture.js'

export type Orders = Awaited<ReturnType<typeof createOrders>>
export type OrdersConsumer = DatabaseConsumer<PgTransaction, readonly [Orders]>

/** A pool that survives the end of its connections. */
export function openPool(url: string, max = 8): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max })
  pool.on('error', () => undefined)
  return pool
}

/** A consumer that appends an effect per event. */
export function effectConsumer(
  orders: Orders,
  db: pg.Pool | Database<PgTransaction>,
  options: Partial<DatabaseOptions<PgTransaction, readonly [Orders]>> & {
    readonly handle?: (value: number, signal: AbortSignal) => Promise<void>
  } = {},
): OrdersConsumer {
  const { handle, ...given } = options
  const consumer = createConsumer<PgTransaction, readonly [Orders]>({
    group: randomName('group'),
    topics: [orders],
    db: db instanceof pg.Pool ? fromPg(db) : db,
    kafka: { brokers: brokers() },
    mode: 'inbox',
    retry: { attemptsMax: 3, backoff: { minMs: 5, maxMs: 20 } },
    ...given,
  })
  consumer.on('order.placed', async ({ id, payload }, { tx, signal }) => {
    await handle?.(payload.value, signal)
    await tx.query('insert into effects (id, key, value, consumer) values ($1, $2, $3, $4)', [
      id,
      payload.orderId,
      payload.value,
      consumer.name,
    ])
  })
  return consumer
}

/** The stored position of partition 0. */
export async function storedPosition(
  pool: pg.Pool,
  consumer: string,
  partition = 0,
): Promise<string | undefined> {
  const { rows } = await pool.query<{ next: string }>(
    'select next from inbox.positions where consumer = $1 and partition = $2',
    [consumer, partition],
  )
  return rows[0]?.next
}
