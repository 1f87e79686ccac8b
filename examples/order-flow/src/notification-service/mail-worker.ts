import { Worker } from 'bullmq'
import pg from 'pg'
import { mailQueueName, type Mail } from '../shared/mail-queue.js'
import { runService } from '../shared/run-service.js'
import { readSettings, required } from '../shared/settings.js'
import { sendMail } from './send-mail.js'

const pool = new pg.Pool({ connectionString: readSettings().databaseUrl, max: 8 })
pool.on('error', (error) => console.error(`mail-worker: an idle connection broke: ${error.message}`))

const worker = new Worker<Mail>(mailQueueName(), (job) => sendMail(pool, job), {
  connection: { url: required('REDIS_URL') },
  concurrency: 8,
  autorun: false,
  // How long a kill hurts: jobs of a worker that is gone are given to the next one.
  lockDuration: 2_000,
  stalledInterval: 1_000,
  // BullMQ gives up a job whose worker was killed twice, unless told otherwise.
  maxStalledCount: 1_000,
})
worker.on('error', (error) => console.error(`mail-worker: ${error.message}`))
worker.on('failed', (job, error) => console.error(`mail-worker: job ${job?.id} failed: ${error.message}`))

await runService('mail-worker', [
  { start: () => Promise.resolve(), stop: () => pool.end() },
  {
    start: async () => {
      await worker.waitUntilReady()
      worker.run().catch((error: unknown) => {
        console.error('mail-worker: it has stopped by itself', error)
        process.exit(1)
      })
    },
    stop: () => worker.close(),
  },
])
