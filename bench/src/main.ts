import { writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import type { Benchmark, Figure } from './benchmark.js'
import { consumerBenchmark } from './consumer/consumer-benchmark.js'
import { latencyBenchmark } from './latency/latency-benchmark.js'
import { readingBenchmark } from './reading/reading-benchmark.js'
import { relayBenchmark } from './relay/relay-benchmark.js'
import { sessionBenchmark } from './session/session-benchmark.js'
import { missedTargets } from './targets.js'
import { WrongUse } from './wrong-use.js'

// `pnpm bench NAME [--json FILE] [--check]`: figures as min, median, max over the rounds of one run.
const benchmarks: readonly Benchmark[] = [
  relayBenchmark,
  sessionBenchmark,
  readingBenchmark,
  latencyBenchmark,
  consumerBenchmark,
]

const usage = `pnpm bench NAME [--json FILE] [--check] [--events N] [--rounds N] [--compression TYPE]
           [--rates N,N] [--seconds N] [--only TEXT]

${benchmarks.map(({ name, summary }) => `  ${name.padEnd(8)}  ${summary}`).join('\n')}

  --check             exit 1 when a figure misses its target in bench/targets.json, and name it
  --json FILE         write the figures
  --compression TYPE  none (the default), gzip, snappy, lz4 or zstd, for all clients; session only
  --shards LIST       numbers of shards, as in 1,2,4, each drained by one process; relay only
  --open-transaction  each of them again while a transaction that has written an event stays open; relay only
  --rates N,N         events a second (200,1000), and for how many seconds each (10); latency only
  --only TEXT         only settings whose names hold it, as in 'inbox, per event'; consumer only
`

async function main(): Promise<number> {
  const { values, positionals } = parse()
  const benchmark = benchmarks.find(({ name }) => name === positionals[0])
  if (values.help === true) {
    process.stdout.write(usage)
    return 0
  }
  if (benchmark === undefined)
    throw new WrongUse(positionals.length === 0 ? 'which benchmark?' : `no benchmark ${positionals[0]}`)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new Error('interrupted')))
  const { help: _help, json: _json, check: _check, ...given } = values
  const settings = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]))
  const figures = await benchmark.run({
    values: settings,
    say: (line) => process.stderr.write(`${line}\n`),
    signal: stop.signal,
  })
  print(figures)
  const machine = { cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), node: process.version }
  if (values.json !== undefined)
    await writeFile(
      values.json,
      `${JSON.stringify({ benchmark: benchmark.name, settings, machine, figures }, null, 2)}\n`,
    )
  const missed =
    values.check === true ? await missedTargets(benchmark.targets?.(settings) ?? benchmark.name, figures) : []
  for (const line of missed) process.stderr.write(`missed: ${line}\n`)
  return missed.length === 0 ? 0 : 1
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        check: { type: 'boolean' },
        events: { type: 'string' },
        rounds: { type: 'string' },
        compression: { type: 'string' },
        shards: { type: 'string' },
        'open-transaction': { type: 'boolean' },
        rates: { type: 'string' },
        seconds: { type: 'string' },
        only: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error))
  }
}

function print(figures: readonly Figure[]): void {
  const width = Math.max(...figures.map(({ name }) => name.length))
  const number = (value: number): string =>
    (value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(2)).padStart(11)
  process.stdout.write(
    `${''.padEnd(width)}${['min', 'median', 'max'].map((head) => head.padStart(11)).join('')}\n`,
  )
  for (const { name, unit, min, median, max } of figures)
    process.stdout.write(`${name.padEnd(width)}${number(min)}${number(median)}${number(max)}  ${unit}\n`)
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof WrongUse)) throw error
  process.stderr.write(`bench: ${error.message}\n\n${usage}`)
  process.exitCode = 2
}
