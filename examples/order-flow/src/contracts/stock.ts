import { defineTopic } from '@oncebox/core'
import { z } from 'zod'
import { named } from '../shared/named.js'
import { moment } from './moment.js'

/** Whether an order got its goods, told by the inventory service. */
export const stock = defineTopic(named('stock'), {
  key: (reservation) => reservation.orderId,
  events: {
    'stock.reserved': z.object(moment),
    'stock.rejected': z.object(moment),
  },
})
