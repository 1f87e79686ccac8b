import { fileURLToPath } from 'node:url'
import { createDatabase, createTopic, randomName, startStack, type Stack } from '@internal/stack'
import { figure, type Benchmark, type Figure } from '../benchmark.js'
import { outputOf } from '../child-output.js'
import { describeDrained, rate, type Drained } from '../drained.js'
import { wholeNumber } from '../whole-number.js'
import { fillBacklog } from './fill-backlog.js'

/** The rows of one backlog, drained by the relay and by kafkajs's transactional producer, in turn. */
export const relayBenchmark: Benchmark = {
  name: 'relay',
  summary: "a backlog of one-row transactions drained to Kafka, next to kafkajs's own transactional producer",
  async run(options) {
    const events = wholeNumber(options, 'events', 400_000)
    const rounds = wholeNumber(options, 'rounds', 3)
    await using stack = await startStack({
      services: ['postgres', 'kafka'],
      signal: options.signal,
      onProgress: (part, line) => options.say(`${part}: ${line}`),
    })
    const topic = await createTopic('bench', { partitions, brokers: stack.kafka.brokers })
    // Filled once and cloned for each drain: the same rows, in the same places.
    const template = {
      name: topic,
      prepare: async (url: string) => await fillBacklog(url, topic, events, options.say),
    }
    const samples = { relay: [] as Drained[], kafkajs: [] as Drained[] }
    for (let round = 1; round <= rounds; round++) {
      // In turn, and the other one first in every second round: the machine's speed drifts.
      const order = round % 2 === 1 ? (['relay', 'kafkajs'] as const) : (['kafkajs', 'relay'] as const)
      for (const name of order) {
        await using database = await createDatabase({ serverUrl: stack.postgres.url, template })
        const drained = await drain(name, { stack, url: database.url, topic, events, signal: options.signal })
        samples[name].push(drained)
        options.say(`round ${round}: ${name.padEnd(7)} ${describeDrained(drained)}`)
      }
    }
    return figures(samples)
  },
}

const partitions = 6

interface Drain {
  readonly stack: Stack
  readonly url: string
  readonly topic: string
  readonly events: number
  readonly signal: AbortSignal
}

async function drain(
  name: 'relay' | 'kafkajs',
  { stack, url, topic, events, signal }: Drain,
): Promise<Drained> {
  const script = fileURLToPath(new URL(`./drain-with-${name}.js`, import.meta.url))
  const output = await outputOf({
    name,
    program: process.execPath,
    arguments: [script],
    environment: {
      BENCH_DATABASE_URL: url,
      BENCH_BROKERS: stack.kafka.brokers.join(','),
      BENCH_TOPIC: topic,
      BENCH_NAME: randomName(name),
      BENCH_EVENTS: String(events),
    },
    signal,
  })
  return JSON.parse(output) as Drained
}

function figures({
  relay,
  kafkajs,
}: {
  readonly relay: readonly Drained[]
  readonly kafkajs: readonly Drained[]
}): Figure[] {
  const ratios = relay.map((drained, round) => rate(drained) / rate(kafkajs[round] ?? drained))
  return [
    figure('relay', 'events/s', relay.map(rate)),
    figure('kafkajs', 'events/s', kafkajs.map(rate)),
    figure('relay / kafkajs', 'x', ratios),
    figure(
      'relay RSS',
      'MB',
      relay.map(({ rssMb }) => rssMb),
    ),
    figure(
      'kafkajs RSS',
      'MB',
      kafkajs.map(({ rssMb }) => rssMb),
    ),
    figure(
      'relay CPU',
      's',
      relay.map(({ cpuSeconds }) => cpuSeconds),
    ),
  ]
}
