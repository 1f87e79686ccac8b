import createKnex from 'knex'
import { readSettings, required } from '../shared/settings.js'
import { runService } from '../shared/run-service.js'
import { createHttp } from './http.js'
import { createReactions } from './reactions.js'

const { databaseUrl, brokers } = readSettings()
const port = Number(required('HTTP_PORT'))
const knex = createKnex({ client: 'pg', connection: databaseUrl, pool: { min: 0, max: 24 } })
const http = createHttp(knex)

await runService('order-service', [
  { start: () => Promise.resolve(), stop: () => knex.destroy() },
  { start: async () => void (await http.listen({ port, host: '127.0.0.1' })), stop: () => http.close() },
  createReactions(knex, brokers),
])
