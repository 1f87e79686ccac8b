import { createOutbox } from '@oncebox/outbox'
import { stock } from '../contracts/stock.js'

/** What the inventory service tells the others. */
export const outbox = createOutbox({ source: 'inventory-service', topics: [stock] })
