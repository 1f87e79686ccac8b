/** What the payment service does when an order is placed or cancelled. Each reaction is one transaction. */
import type { Service } from '@oncebox/core'
import { createConsumer } from '@oncebox/consumer-dedup'
import { fromPg } from '@oncebox/outbox'
import type { Pool } from 'pg'
import { orders } from '../contracts/orders.js'
import { consumerSettings } from '../shared/consumer-settings.js'
import { recordEffectPg } from '../shared/effects.js'
import { named } from '../shared/named.js'
import { outbox } from './outbox.js'
import { capture, refund } from './payment-row.js'

export function createReactions(pool: Pool, brokers: readonly string[]): Service {
  const consumer = createConsumer({
    ...consumerSettings,
    group: named('payment-service'),
    topics: [orders],
    db: fromPg(pool),
    kafka: { brokers },
  })

  consumer.on('order.placed', async (event, { tx }) => {
    const { orderId, customerId, totalCents } = event.payload
    const { state, cents, version } = await capture(tx, orderId, customerId, totalCents)
    await outbox.emit(tx, state === 'captured' ? 'payment.captured' : 'payment.declined', {
      orderId,
      version,
      cents,
    })
    await recordEffectPg(tx, event)
  })
  consumer.on('order.cancelled', async (event, { tx }) => {
    const payment = await refund(tx, event.payload.orderId)
    if (payment !== undefined) {
      await outbox.emit(tx, 'payment.refunded', {
        orderId: payment.order_id,
        version: payment.version,
        cents: payment.cents,
      })
    }
    await recordEffectPg(tx, event)
  })
  return consumer
}
