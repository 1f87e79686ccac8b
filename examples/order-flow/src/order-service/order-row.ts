import type { Knex } from 'knex'

export type OrderState = 'placed' | 'paid' | 'confirmed' | 'cancelled'
export type CancelReason = 'declined' | 'out-of-stock'

/** A row of the table `orders`. */
export interface OrderRow {
  readonly id: string
  readonly customer_id: string
  readonly sku: string
  readonly quantity: number
  readonly total_cents: number
  readonly state: OrderState
  readonly reason: CancelReason | null
  readonly version: number
  readonly refunded: boolean
  readonly mailed: boolean
}

/**
 * Moves an order from one state to the next and returns its row. The update takes the row's lock before the event is
 * emitted, which is what keeps the events of the order in the order of its versions.
 */
export async function advance(
  trx: Knex.Transaction,
  id: string,
  from: OrderState,
  change: { state: OrderState; reason?: CancelReason },
): Promise<OrderRow> {
  const [row] = await trx<OrderRow>('orders')
    .where({ id, state: from })
    .update({ ...change, version: trx.raw('version + 1') })
    .returning('*')
  if (row === undefined) throw new Error(`order ${id} is not ${from}, so it cannot become ${change.state}`)
  return row
}

/** Notes what others did for the order. Tells nobody, so the version stays. */
export async function mark(trx: Knex.Transaction, id: string, what: 'refunded' | 'mailed'): Promise<void> {
  const changed = await trx<OrderRow>('orders')
    .where({ id })
    .update({ [what]: true })
  if (changed !== 1) throw new Error(`order ${id} does not exist, so it cannot be ${what}`)
}
