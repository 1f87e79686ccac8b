import createKnex from 'knex'
import { readSettings } from '../shared/settings.js'
import { runService } from '../shared/run-service.js'
import { createReactions } from './reactions.js'

const { databaseUrl, brokers } = readSettings()
const knex = createKnex({ client: 'pg', connection: databaseUrl, pool: { min: 0, max: 12 } })

await runService('inventory-service', [
  { start: () => Promise.resolve(), stop: () => knex.destroy() },
  createReactions(knex, brokers),
])
