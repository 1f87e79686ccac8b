/** Money moves from an account to a payment, and back. Every function here runs inside the handler's transaction. */
import type { ClientBase } from 'pg'

export interface PaymentRow {
  readonly order_id: string
  readonly customer_id: string
  readonly cents: number
  readonly state: 'captured' | 'declined' | 'refunded'
  readonly version: number
}

/** Takes the money if the account holds it. The account's row lock makes payments of one customer wait for each other. */
export async function capture(
  client: ClientBase,
  orderId: string,
  customerId: string,
  cents: number,
): Promise<PaymentRow> {
  const taken = await client.query(
    'update accounts set balance_cents = balance_cents - $2 where customer_id = $1 and balance_cents >= $2',
    [customerId, cents],
  )
  const state = taken.rowCount === 1 ? 'captured' : 'declined'
  const { rows } = await client.query<PaymentRow>(
    'insert into payments (order_id, customer_id, cents, state, version) values ($1, $2, $3, $4, 1) returning *',
    [orderId, customerId, cents, state],
  )
  return theOne(rows, orderId)
}

/** Gives back what was captured; undefined when nothing was. */
export async function refund(client: ClientBase, orderId: string): Promise<PaymentRow | undefined> {
  const { rows } = await client.query<PaymentRow>(
    `update payments set state = 'refunded', version = version + 1 where order_id = $1 and state = 'captured' returning *`,
    [orderId],
  )
  const [payment] = rows
  if (payment === undefined) return undefined
  await client.query('update accounts set balance_cents = balance_cents + $2 where customer_id = $1', [
    payment.customer_id,
    payment.cents,
  ])
  return payment
}

function theOne(rows: readonly PaymentRow[], orderId: string): PaymentRow {
  const [row] = rows
  if (row === undefined) throw new Error(`the payment of order ${orderId} was not written`)
  return row
}
