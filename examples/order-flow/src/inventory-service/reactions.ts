/** What the inventory service does when an order is paid. The reaction is one transaction. */
import type { Service } from '@oncebox/core'
import { createConsumer } from '@oncebox/consumer-dedup'
import { fromKnex } from '@oncebox/outbox'
import type { Knex } from 'knex'
import { orders } from '../contracts/orders.js'
import { consumerSettings } from '../shared/consumer-settings.js'
import { recordEffect } from '../shared/effects.js'
import { named } from '../shared/named.js'
import { outbox } from './outbox.js'

export function createReactions(knex: Knex, brokers: readonly string[]): Service {
  const consumer = createConsumer({
    ...consumerSettings,
    group: named('inventory-service'),
    topics: [orders],
    db: fromKnex(knex),
    kafka: { brokers },
  })

  consumer.on('order.paid', async (event, { tx }) => {
    const { orderId, sku, quantity } = event.payload
    // One statement checks and takes, under the row's lock: two orders cannot both take the last piece.
    const taken = await tx('stock')
      .where({ sku })
      .andWhere('on_hand', '>=', quantity)
      .decrement('on_hand', quantity)
    const state = taken === 1 ? 'reserved' : 'rejected'
    await tx('reservations').insert({ order_id: orderId, sku, quantity, state, version: 1 })
    await outbox.emit(tx, state === 'reserved' ? 'stock.reserved' : 'stock.rejected', { orderId, version: 1 })
    await recordEffect(tx, event)
  })
  return consumer
}
