import { createOutbox } from '@oncebox/outbox'
import { orders } from '../contracts/orders.js'

/** What the order service tells the others. */
export const outbox = createOutbox({ source: 'order-service', topics: [orders] })
