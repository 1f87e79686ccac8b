/** Places an order: the row and its event, committed together. */
import type { Knex } from 'knex'
import { fromKnex } from '@oncebox/outbox'
import { z } from 'zod'
import { outbox } from './outbox.js'

export const newOrder = z.object({
  /** Chosen by the client, so that it may repeat a request whose answer it did not get. */
  id: z.uuid(),
  customerId: z.string().min(1),
  sku: z.string().min(1),
  quantity: z.int().positive(),
  totalCents: z.int().positive(),
})

export type NewOrder = z.infer<typeof newOrder>

/** True when the order is new; false when it was placed before. */
export async function placeOrder(knex: Knex, order: NewOrder): Promise<boolean> {
  return await outbox.transaction(fromKnex(knex), async (trx, emit) => {
    const row = {
      id: order.id,
      customer_id: order.customerId,
      sku: order.sku,
      quantity: order.quantity,
      total_cents: order.totalCents,
      state: 'placed',
      version: 1,
    }
    const inserted = await trx('orders').insert(row).onConflict('id').ignore().returning('id')
    if (inserted.length === 0) return false
    const { id: orderId, customerId, sku, quantity, totalCents } = order
    emit('order.placed', { orderId, version: 1, customerId, sku, quantity, totalCents })
    return true
  })
}
