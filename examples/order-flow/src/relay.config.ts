/** The relay of one service: `oncebox relay --config dist/relay.config.js`, told by its environment which service that is. */
import { defineRelay } from '@oncebox/relay'
import { named } from './shared/named.js'
import { readSettings, required } from './shared/settings.js'

const { databaseUrl, brokers } = readSettings()

export default defineRelay({
  name: named(required('RELAY_NAME')),
  db: { connectionString: databaseUrl },
  kafka: { brokers: [...brokers], clientId: named(required('RELAY_NAME')) },
  http: { port: 0 }, // four relays on one machine
})
