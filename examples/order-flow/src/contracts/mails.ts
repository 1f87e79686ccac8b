import { defineTopic } from '@oncebox/core'
import { z } from 'zod'
import { named } from '../shared/named.js'
import { moment } from './moment.js'

/** The mail that tells a customer the outcome, told by the notification service. */
export const mails = defineTopic(named('mails'), {
  key: (mail) => mail.orderId,
  events: { 'mail.sent': z.object({ ...moment, outcome: z.enum(['confirmed', 'cancelled']) }) },
})
