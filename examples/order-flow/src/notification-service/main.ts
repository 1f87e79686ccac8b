import pg from 'pg'
import { openMailQueue } from '../shared/mail-queue.js'
import { readSettings, required } from '../shared/settings.js'
import { runService } from '../shared/run-service.js'
import { createReactions } from './reactions.js'

const { databaseUrl, brokers } = readSettings()
const pool = new pg.Pool({ connectionString: databaseUrl, max: 12 })
// A connection that breaks while nobody uses it: the pool replaces it, and without a listener the process would end.
pool.on('error', (error) => console.error(`notification-service: an idle connection broke: ${error.message}`))

const queue = openMailQueue(required('REDIS_URL'))

await runService('notification-service', [
  { start: () => Promise.resolve(), stop: () => pool.end() },
  { start: () => Promise.resolve(), stop: () => queue.close() },
  createReactions(pool, brokers, queue),
])
