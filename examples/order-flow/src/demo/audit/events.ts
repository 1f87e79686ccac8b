/** Which events must exist, by what the business rows say: no outbox row and no log is asked. */
import type { CommittedEvent } from '@internal/audit'
import type { ServiceName } from '../programs.js'
import type { OrderTruth, PaymentTruth, Truth } from './truth.js'

/** Who must show an effect of which event. */
const consumersOf = {
  'order.placed': ['payment'],
  'order.paid': ['inventory'],
  'order.confirmed': ['notification'],
  'order.cancelled': ['payment', 'notification'],
  'payment.captured': ['order'],
  'payment.declined': ['order'],
  'payment.refunded': ['order'],
  'stock.reserved': ['order'],
  'stock.rejected': ['order'],
  'mail.sent': ['order'],
} as const satisfies Record<string, readonly ServiceName[]>

type EventType = keyof typeof consumersOf

/** One name for an event, its record and its effects. */
export const eventId = (type: string, orderId: string, version: number): string =>
  `${type} ${orderId} v${version}`

/** Order is promised per key of a topic; the first word of a type says which topic. */
export const eventKey = (type: string, orderId: string): string => `${type.split('.')[0]} ${orderId}`

/** Every event that the rows call for. */
export function committedEvents({ orders, payments, reservations, mails }: Truth): CommittedEvent[] {
  const mailed = new Set(mails.map(({ order_id }) => order_id)) // a second mail breaks a rule, it does not make a second event right
  return [
    ...orders.flatMap((order) =>
      orderEvents(order).map((type, index) => committed(type, order.id, index + 1)),
    ),
    ...payments.flatMap((payment) =>
      paymentEvents(payment).map((type, index) => committed(type, payment.order_id, index + 1)),
    ),
    ...reservations.map(({ order_id, state }) => committed(`stock.${state}`, order_id, 1)),
    ...[...mailed].map((orderId) => committed('mail.sent', orderId, 1)),
  ]
}

function committed(type: EventType, orderId: string, version: number): CommittedEvent {
  return {
    id: eventId(type, orderId, version),
    key: eventKey(type, orderId),
    version,
    consumers: consumersOf[type],
  }
}

/** The way of an order to its state: one event per version. That its version says the same is a rule of the audit. */
function orderEvents({ state, reason }: OrderTruth): EventType[] {
  const way: EventType[] = ['order.placed']
  if (state !== 'placed' && reason !== 'declined') way.push('order.paid')
  if (state === 'confirmed') way.push('order.confirmed')
  if (state === 'cancelled') way.push('order.cancelled')
  return way
}

function paymentEvents({ state }: PaymentTruth): EventType[] {
  if (state === 'declined') return ['payment.declined']
  return state === 'captured' ? ['payment.captured'] : ['payment.captured', 'payment.refunded']
}
