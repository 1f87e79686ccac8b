import { createOutbox } from '@oncebox/outbox'
import { payments } from '../contracts/payments.js'

/** What the payment service tells the others. */
export const outbox = createOutbox({ source: 'payment-service', topics: [payments] })
