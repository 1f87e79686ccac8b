import { examine, type Finding, type FindingLevel } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'
import { loadRelayOptions } from '../load-relay-options.js'

const help = `oncebox doctor [--config FILE] [--all] [--json]

Looks at what the promises of the relay stand on: its privileges, the settings and tables of the database, the Kafka cluster,
the progress topic, and the topics of the newest events. Changes nothing. Tells what is wrong, and the SQL or command that
mends it. Exit code 1 when something is an error.

  --config FILE   as for oncebox relay, with the same environment variables
  --all           tell what is fine, too
`

/** `oncebox doctor`. */
export const doctor = defineCommand({
  name: 'doctor',
  synopsis: 'doctor [--config FILE]',
  summary: 'what the promises stand on, and how to mend it',
  help,
  options: {
    config: { type: 'string' },
    all: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  async run(values) {
    const findings = await examine(await loadRelayOptions(values.config, process.env))
    process.stdout.write(
      values.json === true ? `${JSON.stringify(findings)}\n` : describe(findings, values.all === true),
    )
    return findings.some(({ level }) => level === 'error') ? exitCodes.failed : exitCodes.done
  },
})

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
