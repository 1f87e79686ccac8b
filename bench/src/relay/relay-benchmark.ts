import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { createDatabase, createTopic, emptyTopic, randomName, startStack, type Stack } from '@internal/stack'
import { figure, type Benchmark, type Figure } from '../benchmark.js'
import { outputOf } from '../child-output.js'
import { describeDrained, rate, type Drained } from '../drained.js'
import { wholeNumber } from '../whole-number.js'
import { fillBacklog } from './fill-backlog.js'
import { contenders, type Contender } from './contender.js'
import { deadTuples, evenShards, openWriteTransaction } from './outbox.js'

/** The rows of one backlog, drained by the relay in several settings and by kafkajs's transactional producer, in turn. */
export const relayBenchmark: Benchmark = {
  name: 'relay',
  summary: "a backlog of one-row transactions drained to Kafka, next to kafkajs's own transactional producer",
  targets: (values) =>
    ['relay', ...['shards', 'open-transaction'].filter((name) => values[name] !== undefined)].join(' --'),
  async run(options) {
    const { say, signal } = options
    const events = wholeNumber(options, 'events', 400_000)
    const rounds = wholeNumber(options, 'rounds', 3)
    const field = contenders(options.values)
    await using stack = await startStack({
      services: ['postgres', 'kafka'],
      signal,
      onProgress: (part, line) => say(`${part}: ${line}`),
    })
    const topic = await createTopic('bench', { partitions, brokers: stack.kafka.brokers, config: emptied })
    // Filled once and cloned for each drain: the same rows, in the same places.
    const template = {
      name: topic,
      prepare: async (url: string) => await fillBacklog(url, topic, events, say),
    }
    const drains = new Map<Contender, Drain[]>(field.map((contender) => [contender, []]))
    for (let round = 1; round <= rounds; round++) {
      // In turn, and backwards in every second round: the machine's speed drifts.
      for (const contender of round % 2 === 1 ? field : field.toReversed()) {
        await using database = await createDatabase({ serverUrl: stack.postgres.url, template })
        const drain = await drainWith(contender, { stack, url: database.url, topic, events, signal })
        drains.get(contender)?.push(drain)
        say(`round ${round}: ${contender.name.padEnd(nameWidth(field))} ${describeDrained(drain)}`)
        await emptyTopic(topic, stack.kafka.brokers)
      }
    }
    return figures(drains)
  },
}

const partitions = 6
/** What was deleted from the topic leaves the disk at once, and before it has filled it. */
const emptied = { 'segment.bytes': String(256 * 1024 * 1024), 'file.delete.delay.ms': '0' }

const nameWidth = (field: readonly Contender[]): number => Math.max(...field.map(({ name }) => name.length))

interface Drain extends Drained {
  readonly deadTuples: number
}

interface Ground {
  readonly stack: Stack
  readonly url: string
  readonly topic: string
  readonly events: number
  readonly signal: AbortSignal
}

async function drainWith(
  { name, script, shards, openTransaction }: Contender,
  { stack, url, topic, events, signal }: Ground,
): Promise<Drain> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await evenShards(client, shards)
    await using _open = openTransaction ? await openWriteTransaction(url, topic) : undefined
    const output = await outputOf({
      name,
      program: process.execPath,
      arguments: [fileURLToPath(new URL(`./${script}.js`, import.meta.url))],
      environment: {
        BENCH_DATABASE_URL: url,
        BENCH_BROKERS: stack.kafka.brokers.join(','),
        BENCH_TOPIC: topic,
        BENCH_NAME: randomName('bench'),
        BENCH_EVENTS: String(events),
      },
      signal,
    })
    return { ...(JSON.parse(output) as Drained), deadTuples: await deadTuples(client) }
  } finally {
    await client.end()
  }
}

function figures(drains: ReadonlyMap<Contender, readonly Drain[]>): Figure[] {
  const measured = [...drains].flatMap(([{ name }, samples]) => [
    figure(name, 'events/s', samples.map(rate)),
    figure(
      `${name}, RSS`,
      'MB',
      samples.map(({ rssMb }) => rssMb),
    ),
    figure(
      `${name}, CPU`,
      's',
      samples.map(({ cpuSeconds }) => cpuSeconds),
    ),
    figure(
      `${name}, dead tuples`,
      'rows',
      samples.map(({ deadTuples: dead }) => dead),
    ),
  ])
  const ratios = [...drains].flatMap(([{ name, comparedWith }, samples]) => {
    const other = comparedWith === undefined ? undefined : drains.get(comparedWith)
    if (other === undefined || comparedWith === undefined) return []
    return [
      figure(
        `${name} / ${comparedWith.name}`,
        'x',
        samples.map((drain, round) => rate(drain) / rate(other[round] ?? drain)),
      ),
      ratioOfMedians(`${name} / ${comparedWith.name}, medians`, samples, other),
    ]
  })
  return [...measured, ...ratios]
}

function ratioOfMedians(name: string, ones: readonly Drain[], others: readonly Drain[]): Figure {
  const median = (drains: readonly Drain[]): number => figure('', '', drains.map(rate)).median
  return figure(name, 'x', [median(ones) / median(others)])
}
