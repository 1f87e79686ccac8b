/** What a job does: one mail, which a row stands for, its mark, and the event that tells of it, in one transaction. */
import { eventOfJob } from '@oncebox/bullmq'
import { fromPg } from '@oncebox/outbox'
import type { Job } from 'bullmq'
import type { Pool } from 'pg'
import type { Mail } from '../shared/mail-queue.js'
import { outbox } from './outbox.js'

/** Safe to run again: a job whose worker was killed runs once more, and the mark says whether its mail has left. */
export async function sendMail(pool: Pool, job: Job<Mail>): Promise<void> {
  const { source, id } = eventOfJob(job)
  const { orderId, outcome } = job.data
  await outbox.transaction(fromPg(pool), async (tx, emit) => {
    const { rowCount } = await tx.query(
      'insert into mail_marks (source, event_id) values ($1, $2) on conflict do nothing',
      [source, id],
    )
    if (rowCount === 0) return
    await tx.query('insert into mails (order_id, outcome, version) values ($1, $2, 1)', [orderId, outcome])
    emit('mail.sent', { orderId, version: 1, outcome })
  })
}
