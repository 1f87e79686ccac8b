/** The ground truth: what the business rows of the four services say, read by plain SQL. */
import type pg from 'pg'
import { serviceNames, type ServiceName } from '../programs.js'
import { mapServices } from '../world.js'
import type { CancelReason, OrderState } from '../../order-service/order-row.js'

export interface Truth {
  readonly orders: readonly OrderTruth[]
  readonly payments: readonly PaymentTruth[]
  readonly accounts: readonly {
    readonly customer_id: string
    readonly initial_cents: number
    readonly balance_cents: number
  }[]
  readonly reservations: readonly {
    readonly order_id: string
    readonly sku: string
    readonly quantity: number
    readonly state: 'reserved' | 'rejected'
  }[]
  readonly stock: readonly { readonly sku: string; readonly initial: number; readonly on_hand: number }[]
  readonly mails: readonly { readonly order_id: string; readonly outcome: 'confirmed' | 'cancelled' }[]
  readonly effects: Readonly<Record<ServiceName, readonly EffectRow[]>>
}

export interface OrderTruth {
  readonly id: string
  readonly state: OrderState
  readonly reason: CancelReason | null
  readonly version: number
  readonly total_cents: number
}

export interface PaymentTruth {
  readonly order_id: string
  readonly customer_id: string
  readonly cents: number
  readonly state: 'captured' | 'declined' | 'refunded'
  readonly version: number
}

/** A row of the append-only table of effects: an event of this type and version was handled. */
export interface EffectRow {
  readonly row_number: number
  readonly type: string
  readonly order_id: string
  readonly version: number
}

/** Reads it all. The services should be at rest. */
export async function readTruth(pools: Readonly<Record<ServiceName, pg.Pool>>): Promise<Truth> {
  const rows = async <Row extends object>(service: ServiceName, sql: string): Promise<Row[]> =>
    (await pools[service].query<Row>(sql)).rows
  const effects = Object.fromEntries(
    await Promise.all(
      serviceNames.map(
        async (service) =>
          [
            service,
            await rows<EffectRow>(
              service,
              'select row_number::float8, type, order_id, version from effects order by row_number',
            ),
          ] as const,
      ),
    ),
  )
  return {
    orders: await rows('order', 'select id, state, reason, version, total_cents from orders'),
    payments: await rows('payment', 'select order_id, customer_id, cents, state, version from payments'),
    accounts: await rows(
      'payment',
      'select customer_id, initial_cents::float8, balance_cents::float8 from accounts',
    ),
    reservations: await rows('inventory', 'select order_id, sku, quantity, state from reservations'),
    stock: await rows('inventory', 'select sku, initial, on_hand from stock'),
    mails: await rows('notification', 'select order_id, outcome from mails order by row_number'),
    effects: mapServices((service) => effects[service] ?? []),
  }
}
