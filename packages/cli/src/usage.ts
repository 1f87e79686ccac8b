import { commands } from './commands/index.js'

export function usage(): string {
  const width = Math.max(...commands.map(({ synopsis }) => synopsis.length))
  const lines = commands.map(({ synopsis, summary }) => `  oncebox ${synopsis.padEnd(width)}  ${summary}`)
  return `oncebox: transactional outbox for PostgreSQL and Kafka

${lines.join('\n')}

Each command takes --help. Exit codes: 0 done, 1 a promise or check failed, 2 wrong use, 3 a service is unavailable.
`
}
