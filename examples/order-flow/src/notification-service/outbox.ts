import { createOutbox } from '@oncebox/outbox'
import { mails } from '../contracts/mails.js'

/** What the notification service tells the others. */
export const outbox = createOutbox({ source: 'notification-service', topics: [mails] })
