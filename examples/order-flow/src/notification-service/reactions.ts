/** Tells the customer the outcome: one mail per order. A handler hands its event over to the mail worker, as one job. */
import { handOver } from '@oncebox/bullmq'
import { createConsumer } from '@oncebox/consumer-dedup'
import type { Service } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import type { Pool } from 'pg'
import { orders } from '../contracts/orders.js'
import { consumerSettings } from '../shared/consumer-settings.js'
import { recordEffectPg } from '../shared/effects.js'
import type { Mail, MailQueue } from '../shared/mail-queue.js'
import { named } from '../shared/named.js'

const weekMs = 604_800_000
// For so long Kafka keeps an event, and no retry holds it longer: for so long its job is known.
const redelivery = { topicRetentionMs: weekMs, retryMs: weekMs }

export function createReactions(pool: Pool, brokers: readonly string[], queue: MailQueue): Service {
  const consumer = createConsumer({
    ...consumerSettings,
    group: named('notification-service'),
    topics: [orders],
    db: fromPg(pool),
    kafka: { brokers },
  })

  const tell = (
    event: { readonly source: string; readonly id: string },
    mail: Mail,
    signal: AbortSignal,
  ): Promise<string> =>
    handOver(
      queue,
      event,
      { name: mail.outcome, data: mail, redelivery, options: { attempts: 1_000, backoff: 250 } },
      { signal },
    )

  // The job comes last: a transaction that is rolled back after it does not take it back.
  consumer.on('order.confirmed', async (event, { tx, signal }) => {
    await recordEffectPg(tx, event)
    await tell(event, { orderId: event.payload.orderId, outcome: 'confirmed' }, signal)
  })
  consumer.on('order.cancelled', async (event, { tx, signal }) => {
    await recordEffectPg(tx, event)
    await tell(event, { orderId: event.payload.orderId, outcome: 'cancelled' }, signal)
  })
  return consumer
}
