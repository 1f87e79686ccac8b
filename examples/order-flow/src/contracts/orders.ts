import { defineTopic } from '@oncebox/core'
import { z } from 'zod'
import { named } from '../shared/named.js'
import { moment } from './moment.js'

/** What became of an order, told by the order service. Version 1 is the order placed; it goes up under the order's row lock. */
export const orders = defineTopic(named('orders'), {
  key: (order) => order.orderId,
  events: {
    'order.placed': z.object({
      ...moment,
      customerId: z.string().min(1),
      sku: z.string().min(1),
      quantity: z.int().positive(),
      totalCents: z.int().positive(),
    }),
    'order.paid': z.object({ ...moment, sku: z.string().min(1), quantity: z.int().positive() }),
    'order.confirmed': z.object({ ...moment, customerId: z.string().min(1) }),
    'order.cancelled': z.object({
      ...moment,
      customerId: z.string().min(1),
      reason: z.enum(['declined', 'out-of-stock']),
    }),
  },
})
