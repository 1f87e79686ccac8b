import { fileURLToPath } from 'node:url'
import { createTopic, randomName, startStack } from '@internal/stack'
import { figure, type Benchmark, type Figure } from '../benchmark.js'
import { outputOf } from '../child-output.js'
import { describeDrained, rate, type Drained } from '../drained.js'
import { toEnvironment as toSessionEnvironment } from '../session/drain.js'
import { wholeNumber } from '../whole-number.js'
import { toEnvironment, type ReadingDrain } from './drain.js'

/** One topic of committed transactions, read to its end by our fetch loop and by kafkajs's consumer, in turn. */
export const readingBenchmark: Benchmark = {
  name: 'reading',
  summary: "a topic of six partitions read read_committed, next to kafkajs's consumer",
  async run(options) {
    const { say, signal } = options
    const events = wholeNumber(options, 'events', 400_000)
    const rounds = wholeNumber(options, 'rounds', 3)
    await using stack = await startStack({
      services: ['kafka'],
      signal,
      onProgress: (part, line) => say(`${part}: ${line}`),
    })
    const { brokers } = stack.kafka
    const topic = await createTopic('bench', { partitions, brokers })
    const sizes = { events, warmUpEvents: Math.ceil(events / 4), eventsPerTransaction: 5_000 }
    await outputOf({
      name: 'the writer',
      program: process.execPath,
      arguments: [script('../session/drain-with-ours.js'), '--ahead'],
      environment: toSessionEnvironment({
        ...sizes,
        brokers,
        topic,
        name: randomName('bench'),
        compression: 'none',
      }),
      signal,
    })
    const samples: Record<Client, Drained[]> = { ours: [], 'ours, with headers': [], kafkajs: [] }
    for (let round = 1; round <= rounds; round++)
      for (const client of round % 2 === 1 ? clients : clients.toReversed()) {
        const drained = await drain(
          client,
          { ...sizes, brokers, topic, partitions, name: randomName('bench') },
          signal,
        )
        samples[client].push(drained)
        say(`round ${round}: ${client.padEnd(nameWidth)} ${describeDrained(drained)}`)
      }
    return figures(samples)
  },
}

const partitions = 6
const clients = ['ours', 'ours, with headers', 'kafkajs'] as const
type Client = (typeof clients)[number]

const nameWidth = 'ours, with headers'.length

const programs: Readonly<Record<Client, readonly string[]>> = {
  ours: ['./drain-with-ours.js'],
  'ours, with headers': ['./drain-with-ours.js', '--headers'],
  kafkajs: ['./drain-with-kafkajs.js'],
}

const script = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

async function drain(client: Client, settings: ReadingDrain, signal: AbortSignal): Promise<Drained> {
  const [program = '', ...flags] = programs[client]
  const output = await outputOf({
    name: client,
    program: process.execPath,
    arguments: [script(program), ...flags],
    environment: toEnvironment(settings),
    signal,
  })
  return JSON.parse(output) as Drained
}

/** Rates, ratios of drains of the same round, and what they took. */
function figures(samples: Readonly<Record<Client, readonly Drained[]>>): Figure[] {
  const ratio = (client: Client): Figure => {
    const ratios = samples[client].map((drained, round) => {
      const other = samples.kafkajs[round]
      return other === undefined ? Number.NaN : rate(drained) / rate(other)
    })
    return figure(`${client} / kafkajs`, 'x', ratios)
  }
  return [
    ...clients.map((client) => figure(client, 'events/s', samples[client].map(rate))),
    ratio('ours'),
    ratio('ours, with headers'),
    ...clients.map((client) =>
      figure(
        `${client}, CPU`,
        's',
        samples[client].map(({ cpuSeconds }) => cpuSeconds),
      ),
    ),
    ...clients.map((client) =>
      figure(
        `${client}, memory`,
        'MB',
        samples[client].map(({ rssMb }) => rssMb),
      ),
    ),
  ]
}
