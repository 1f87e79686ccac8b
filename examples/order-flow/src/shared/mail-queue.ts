/** The queue between the notification service and its mail worker. */
import { Queue } from 'bullmq'
import { named } from './named.js'

export interface Mail {
  readonly orderId: string
  readonly outcome: 'confirmed' | 'cancelled'
}

export type MailQueue = Queue<Mail>

/** BullMQ's name of it, in Redis. */
export const mailQueueName = (): string => named('mails')

export function openMailQueue(redisUrl: string): MailQueue {
  const queue = new Queue<Mail>(mailQueueName(), { connection: { url: redisUrl } })
  // A connection that breaks: BullMQ connects again, and without a listener the process would end.
  queue.on('error', (error) => console.error(`the mail queue: ${error.message}`))
  return queue
}
