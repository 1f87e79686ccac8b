import pg from 'pg'
import { readSettings } from '../shared/settings.js'
import { runService } from '../shared/run-service.js'
import { createReactions } from './reactions.js'

const { databaseUrl, brokers } = readSettings()
const pool = new pg.Pool({ connectionString: databaseUrl, max: 12 })

await runService('notification-service', [
  { start: () => Promise.resolve(), stop: () => pool.end() },
  createReactions(pool, brokers),
])
