/** Tells the customer the outcome: one mail per order. A row stands for the mail; its dedup mark is in the same transaction. */
import type { Service } from '@oncebox/core'
import { createConsumer } from '@oncebox/consumer-dedup'
import { fromPg } from '@oncebox/outbox'
import type { ClientBase, Pool } from 'pg'
import { orders } from '../contracts/orders.js'
import { consumerSettings } from '../shared/consumer-settings.js'
import { recordEffectPg } from '../shared/effects.js'
import { named } from '../shared/named.js'
import { outbox } from './outbox.js'

export function createReactions(pool: Pool, brokers: readonly string[]): Service {
  const consumer = createConsumer({
    ...consumerSettings,
    group: named('notification-service'),
    topics: [orders],
    db: fromPg(pool),
    kafka: { brokers },
  })

  consumer.on('order.confirmed', async (event, { tx }) => {
    await sendMail(tx, event.payload.orderId, 'confirmed')
    await recordEffectPg(tx, event)
  })
  consumer.on('order.cancelled', async (event, { tx }) => {
    await sendMail(tx, event.payload.orderId, 'cancelled')
    await recordEffectPg(tx, event)
  })
  return consumer
}

async function sendMail(
  client: ClientBase,
  orderId: string,
  outcome: 'confirmed' | 'cancelled',
): Promise<void> {
  await client.query('insert into mails (order_id, outcome, version) values ($1, $2, 1)', [orderId, outcome])
  await outbox.emit(client, 'mail.sent', { orderId, version: 1, outcome })
}
