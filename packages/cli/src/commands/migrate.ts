import pg from 'pg'
import { OutboxError } from '@oncebox/core'
import { migrateInbox } from '@oncebox/consumer-dedup'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'

const help = `oncebox migrate [--database URL] [--only outbox|inbox] [--json]

Brings the schemas outbox and inbox of a database up to date. Safe to run from several processes at once; each
migration is one transaction. The same SQL is shipped as files: migrations/ in @oncebox/outbox and @oncebox/consumer-dedup.

  --database URL  default: ONCEBOX_DATABASE_URL
  --only SCHEMA   only the outbox (a service that emits) or only the inbox (a service that consumes)
`

const schemas = [
  { schema: 'outbox', apply: migrateOutbox },
  { schema: 'inbox', apply: migrateInbox },
] as const

/** `oncebox migrate`. */
export const migrate = defineCommand({
  name: 'migrate',
  synopsis: 'migrate [--database URL]',
  summary: 'create or upgrade the outbox and inbox schemas',
  help,
  options: {
    database: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values) {
    const connectionString = values.database ?? process.env['ONCEBOX_DATABASE_URL']
    if (connectionString === undefined)
      throw new OutboxError('CLI_USAGE', 'no database: give --database URL or set ONCEBOX_DATABASE_URL')
    const chosen = schemas.filter(({ schema }) => values.only === undefined || values.only === schema)
    if (chosen.length === 0)
      throw new OutboxError('CLI_USAGE', `--only ${String(values.only)}: it must be outbox or inbox`)
    const pool = new pg.Pool({ connectionString, max: 1, connectionTimeoutMillis: 10_000 })
    pool.on('error', () => undefined)
    try {
      const database = fromPg(pool)
      for (const { schema, apply } of chosen) {
        const { applied, number } = await apply(database)
        const done = applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}`
        process.stdout.write(
          values.json === true ? `${JSON.stringify({ schema, applied, number })}\n` : `${schema}: ${done}\n`,
        )
      }
    } finally {
      await pool.end()
    }
    return exitCodes.done
  },
})
