import { defineTopic } from '@oncebox/core'
import { z } from 'zod'
import { named } from '../shared/named.js'
import { moment } from './moment.js'

const cents = z.int().positive()

/** What became of the money of an order, told by the payment service. Version 1: captured or declined; 2: refunded. */
export const payments = defineTopic(named('payments'), {
  key: (payment) => payment.orderId,
  events: {
    'payment.captured': z.object({ ...moment, cents }),
    'payment.declined': z.object({ ...moment, cents }),
    'payment.refunded': z.object({ ...moment, cents }),
  },
})
