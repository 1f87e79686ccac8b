import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { brokersExperiment } from './brokers/brokers-experiment.js'
import { consumerExperiment } from './consumer/consumer-experiment.js'
import { WrongUse, type Experiment } from './experiment.js'

// `pnpm chaos NAME`: exit code 0 when every promise held, 1 when one did not, 2 for wrong use.
const experiments: readonly Experiment[] = [brokersExperiment, consumerExperiment]

const usage = `pnpm chaos NAME [options] [--json FILE]

${experiments.map(({ name, summary, usage: options }) => `  ${name.padEnd(8)}  ${summary}\n${options}`).join('\n')}
  --json FILE    write everything that was seen
`

async function main(): Promise<number> {
  const { values, positionals } = parse()
  const { help, json, ...options } = values
  const [name] = positionals
  const experiment = experiments.find((candidate) => candidate.name === name)
  if (help === true) {
    process.stdout.write(usage)
    return 0
  }
  if (experiment === undefined || positionals.length > 1)
    throw new WrongUse(name === undefined ? 'which experiment?' : `no experiment ${positionals.join(' ')}`)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new Error('interrupted')))
  const outcome = await experiment.run({
    values: options,
    say: (line) => process.stderr.write(`${line}\n`),
    signal: stop.signal,
  })
  process.stdout.write(`${outcome.lines.join('\n')}\n`)
  if (json !== undefined) await writeFile(json, `${JSON.stringify(outcome.facts, null, 2)}\n`)
  return outcome.ok ? 0 : 1
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        events: { type: 'string' },
        faults: { type: 'string' },
        version: { type: 'string' },
        seeds: { type: 'string' },
        first: { type: 'string' },
        modes: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error))
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof WrongUse)) throw error
  process.stderr.write(`chaos: ${error.message}\n\n${usage}`)
  process.exitCode = 2
}
