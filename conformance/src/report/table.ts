import type { Result } from '../result.js'
import { wordOf } from './words.js'

/** Clients × cases, one table a broker, and below each a sentence for whatever is not a pass. */
export function table(results: readonly Result[]): string {
  const kafkas = [...new Set(results.map(({ kafka }) => kafka))]
  return kafkas
    .map((kafka) =>
      ofBroker(
        kafka,
        results.filter((result) => result.kafka === kafka),
      ),
    )
    .join('\n')
}

function ofBroker(kafka: string, results: readonly Result[]): string {
  const clients = [...new Set(results.map(({ client }) => client))]
  const cases = [...new Set(results.map((result) => result.case))]
  const rows = cases.map((name) => [
    name,
    ...clients.map((client) => {
      const found = results.find((result) => result.case === name && result.client === client)
      return found === undefined ? '' : wordOf(found.verdict)
    }),
  ])
  const all = [[`Kafka ${kafka}`, ...clients], ...rows]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${[...lines, ...sentences(results)].join('\n')}\n`
}

const sentences = (results: readonly Result[]): string[] =>
  results.flatMap(({ client, case: name, verdict }) =>
    verdict.kind === 'pass' ? [] : [`  ${client}, ${name}: ${wordOf(verdict)}: ${verdict.sentence}`],
  )
