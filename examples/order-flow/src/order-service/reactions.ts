/** What the order service does when the others report. Each reaction is one transaction: dedup mark, row, event, effect. */
import type { Service } from '@oncebox/core'
import { createConsumer } from '@oncebox/consumer-dedup'
import { fromKnex } from '@oncebox/outbox'
import type { Knex } from 'knex'
import { mails } from '../contracts/mails.js'
import { payments } from '../contracts/payments.js'
import { stock } from '../contracts/stock.js'
import { consumerSettings } from '../shared/consumer-settings.js'
import { recordEffect } from '../shared/effects.js'
import { advance, mark, type CancelReason, type OrderState } from './order-row.js'
import { named } from '../shared/named.js'
import { outbox } from './outbox.js'

export function createReactions(knex: Knex, brokers: readonly string[]): Service {
  const consumer = createConsumer({
    ...consumerSettings,
    group: named('order-service'),
    topics: [payments, stock, mails],
    db: fromKnex(knex),
    kafka: { brokers },
  })

  consumer.on('payment.captured', async (event, { tx }) => {
    const {
      id: orderId,
      sku,
      quantity,
      version,
    } = await advance(tx, event.payload.orderId, 'placed', { state: 'paid' })
    await outbox.emit(tx, 'order.paid', { orderId, version, sku, quantity })
    await recordEffect(tx, event)
  })
  consumer.on('payment.declined', async (event, { tx }) => {
    await cancel(tx, event.payload.orderId, 'placed', 'declined')
    await recordEffect(tx, event)
  })
  consumer.on('stock.reserved', async (event, { tx }) => {
    const {
      id: orderId,
      customer_id: customerId,
      version,
    } = await advance(tx, event.payload.orderId, 'paid', { state: 'confirmed' })
    await outbox.emit(tx, 'order.confirmed', { orderId, version, customerId })
    await recordEffect(tx, event)
  })
  consumer.on('stock.rejected', async (event, { tx }) => {
    await cancel(tx, event.payload.orderId, 'paid', 'out-of-stock') // the payment service refunds what it captured
    await recordEffect(tx, event)
  })
  consumer.on('payment.refunded', async (event, { tx }) => {
    await mark(tx, event.payload.orderId, 'refunded')
    await recordEffect(tx, event)
  })
  consumer.on('mail.sent', async (event, { tx }) => {
    await mark(tx, event.payload.orderId, 'mailed')
    await recordEffect(tx, event)
  })
  return consumer
}

async function cancel(
  trx: Knex.Transaction,
  id: string,
  from: OrderState,
  reason: CancelReason,
): Promise<void> {
  const { customer_id: customerId, version } = await advance(trx, id, from, { state: 'cancelled', reason })
  await outbox.emit(trx, 'order.cancelled', { orderId: id, version, customerId, reason })
}
