import { examineWindows } from '@oncebox/consumer-dedup'
import { OutboxError } from '@oncebox/core'
import { fromPg } from '@oncebox/outbox'
import { examine, type Finding, type FindingLevel } from '@oncebox/relay'
import pg from 'pg'
import { defineCommand } from '../command.js'
import { databaseOf } from '../database-options.js'
import { exitCodes } from '../exit-code.js'
import { kafkaOf } from '../kafka-options.js'
import { loadRelayOptions } from '../load-relay-options.js'

const help = `oncebox doctor [--config FILE] [--all] [--json]
oncebox doctor --consumers [--database URL] [--config FILE] [--all] [--json]

Looks at what the promises of the relay stand on: its privileges, the settings and tables of the database, the Kafka cluster,
the progress topic, and the topics of the newest events. Changes nothing. Tells what is wrong, and the SQL or command that
mends it. Exit code 1 when something is an error.

With --consumers: whether the consumers in mode inbox of a database remember events for as long as their topics keep them, and
whether one of them keeps the marks of all from being emptied.

  --config FILE   as for oncebox relay, with the same environment variables; for consumers, ONCEBOX_KAFKA_BROKERS will do
  --database URL  the consumers'; default: ONCEBOX_DATABASE_URL
  --all           tell what is fine, too
`

/** `oncebox doctor`. */
export const doctor = defineCommand({
  name: 'doctor',
  synopsis: 'doctor [--consumers]',
  summary: 'what the promises stand on, and how to mend it',
  help,
  options: {
    config: { type: 'string' },
    consumers: { type: 'boolean' },
    database: { type: 'string' },
    all: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(values) {
    if (values.database !== undefined && values.consumers !== true)
      throw new OutboxError('CLI_USAGE', '--database is for --consumers')
    const findings =
      values.consumers === true
        ? await ofConsumers(values)
        : await examine(await loadRelayOptions(values.config, process.env))
    process.stdout.write(
      values.json === true ? `${JSON.stringify(findings)}\n` : describe(findings, values.all === true),
    )
    return findings.some(({ level }) => level === 'error') ? exitCodes.failed : exitCodes.done
  },
})

async function ofConsumers(values: {
  readonly config?: string | undefined
  readonly database?: string | undefined
}): Promise<readonly Finding[]> {
  const kafka = await kafkaOf(values, process.env)
  const pool = new pg.Pool({
    ...(await databaseOf(values, process.env)),
    max: 1,
    connectionTimeoutMillis: 10_000,
  })
  pool.on('error', () => undefined)
  try {
    return await examineWindows({ connection: fromPg(pool).outside, kafka })
  } finally {
    await pool.end()
  }
}

const marks: Readonly<Record<FindingLevel, string>> = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' }

function describe(findings: readonly Finding[], all: boolean): string {
  const told = findings.filter(({ level }) => all || level !== 'ok')
  const lines = told.flatMap(({ level, message, fix }) => [
    `${marks[level]}  ${message}\n`,
    ...(fix === undefined ? [] : [`         ${fix}\n`]),
  ])
  const count = (wanted: FindingLevel): number => findings.filter(({ level }) => level === wanted).length
  return `${lines.join('')}${findings.length} checks: ${count('error')} errors, ${count('warning')} warnings\n`
}
