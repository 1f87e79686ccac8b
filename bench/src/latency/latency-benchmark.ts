import { createDatabase, createTopic, randomName, startStack } from '@internal/stack'
import { migrateOutbox } from '@oncebox/outbox'
import { figure, type Benchmark, type BenchmarkOptions, type Figure } from '../benchmark.js'
import { wholeNumber } from '../whole-number.js'
import { Child } from './child.js'
import type { Arrived, Batch, Emission, Written } from './messages.js'
import { mean, percentiles, type Percentiles } from './percentiles.js'
import { meanOf, slowest, stages, stagesOf, type StagedEvent } from './stages.js'
import { WrongUse } from '../wrong-use.js'

/** From the answer to COMMIT, through the relay, to a read_committed consumer; next to a plain acknowledged send. */
export const latencyBenchmark: Benchmark = {
  name: 'latency',
  summary:
    'commit to arrival at a read_committed consumer, next to a plain acknowledged send to the same consumer',
  async run(options) {
    const rates = ratesOf(options)
    const rounds = wholeNumber(options, 'rounds', 3)
    const seconds = wholeNumber(options, 'seconds', 10)
    const { say, signal } = options
    await using stack = await startStack({
      services: ['postgres', 'kafka'],
      signal,
      onProgress: (part, line) => say(`${part}: ${line}`),
    })
    const topic = await createTopic('latency', { partitions, brokers: stack.kafka.brokers })
    await using database = await createDatabase({
      serverUrl: stack.postgres.url,
      template: { name: topic, prepare: async (url) => void (await migrateOutbox(url)) },
    })
    const environment = {
      BENCH_DATABASE_URL: database.url,
      BENCH_BROKERS: stack.kafka.brokers.join(','),
      BENCH_TOPIC: topic,
      BENCH_NAME: randomName('latency'),
    }
    await using consumer = new Child('consumer', environment, signal)
    await using relay = new Child('relay', environment, signal)
    await using outbox = new Child('outbox-writer', environment, signal)
    await using plain = new Child('plain-sender', environment, signal)
    await Promise.all([consumer, relay, outbox, plain].map((child) => child.ready()))
    const bed: Bed = {
      consumer,
      relay,
      writers: { outbox, 'outbox, notify': outbox, plain },
      seconds,
      next: 0,
    }
    // A broker that has just started compiles its way through its first transactions: 10 times the latency for some seconds.
    for (const path of paths) await emit(bed, path, Math.max(...rates), warmUpBrokerSeconds)
    const measured: Measured[] = []
    for (let round = 1; round <= rounds; round++)
      for (const perSecond of rates) {
        // In turn, and the last one first in every second round: the machine's speed drifts.
        for (const path of round % 2 === 1 ? paths : paths.toReversed()) {
          const one = await measure(bed, path, perSecond)
          measured.push(one)
          say(`round ${round}, ${perSecond}/s: ${describe(one)}`)
        }
      }
    return rates.flatMap((perSecond) => figuresOf(measured, perSecond))
  },
}

const partitions = 6
const warmUpSeconds = 2
const warmUpBrokerSeconds = 8

const paths = ['outbox', 'outbox, notify', 'plain'] as const
type Path = (typeof paths)[number]

interface Bed {
  readonly consumer: Child
  readonly relay: Child
  readonly writers: Readonly<Record<Path, Child>>
  readonly seconds: number
  /** Number of the next event. */
  next: number
}

interface Measured {
  readonly path: Path
  readonly perSecond: number
  readonly latency: Percentiles
  /** From the moment at which the statement with the COMMIT went out. */
  readonly fromSent: Percentiles
  /** None for the plain send. */
  readonly staged: readonly StagedEvent[]
  readonly batches: number
}

async function measure(bed: Bed, path: Path, perSecond: number): Promise<Measured> {
  await emit(bed, path, perSecond, warmUpSeconds)
  const { written, arrived, batches } = await emit(bed, path, perSecond, bed.seconds)
  const byNumber = new Map(written.map((event) => [event.number, event]))
  const since = (start: (event: Written) => number): Percentiles =>
    percentiles(
      arrived.flatMap(({ number, atMs }) => {
        const event = byNumber.get(number)
        return event === undefined ? [] : [atMs - start(event)]
      }),
    )
  const fromSent = since(({ sentMs }) => sentMs)
  return {
    path,
    perSecond,
    latency: path === 'plain' ? fromSent : since(({ ackedMs }) => ackedMs),
    fromSent,
    staged: path === 'plain' ? [] : stagesOf(byNumber, arrived, batches),
    batches: batches.length,
  }
}

async function emit(
  bed: Bed,
  path: Path,
  perSecond: number,
  seconds: number,
): Promise<{ written: readonly Written[]; arrived: readonly Arrived[]; batches: readonly Batch[] }> {
  const notify = path === 'outbox, notify'
  const emission: Emission = { from: bed.next, events: perSecond * seconds, perSecond, notify }
  bed.next += emission.events
  const written = await bed.writers[path].ask<Emission, readonly Written[]>(emission)
  const arrived = await bed.consumer.ask<object, readonly Arrived[]>({ events: emission.events })
  const batches = await bed.relay.ask<object, readonly Batch[]>({})
  if (new Set(arrived.map(({ number }) => number)).size !== emission.events)
    throw new Error(`${arrived.length} arrivals of ${emission.events} events`)
  return { written, arrived, batches }
}

function describe({ path, latency, staged, batches }: Measured): string {
  const line = `${path.padEnd(14)} p50 ${ms(latency.p50)} p95 ${ms(latency.p95)} p99 ${ms(latency.p99)} max ${ms(latency.max)}`
  if (staged.length === 0) return line
  const parts = (events: readonly StagedEvent[]): string =>
    stages.map((stage) => `${stage} ${ms(meanOf(events, stage))}`).join(', ')
  return `${line} ms; ${(staged.length / batches).toFixed(1)} events a batch
  mean of all:         ${parts(staged)}
  mean of slowest 1 %: ${parts(slowest(staged))}`
}

const ms = (value: number): string => value.toFixed(2)

function figuresOf(measured: readonly Measured[], perSecond: number): Figure[] {
  const of = (path: Path): Measured[] =>
    measured.filter((one) => one.path === path && one.perSecond === perSecond)
  const plain = of('plain')
  const at = `${perSecond}/s`
  const each = (name: string, rounds: readonly Measured[], pick: (one: Measured) => number): Figure =>
    figure(`${name}, ${at}`, 'ms', rounds.map(pick))
  const points = ['p50', 'p95', 'p99', 'max'] as const
  return [
    ...points.map((point) => each(`plain ${point}`, plain, ({ latency }) => latency[point])),
    ...(['outbox', 'outbox, notify'] as const).flatMap((path) => {
      const rounds = of(path)
      return [
        ...points.map((point) => each(`${path} ${point}`, rounds, ({ latency }) => latency[point])),
        ...(['p50', 'p99'] as const).map((point) =>
          figure(
            `${point}, ${path} / plain, ${at}`,
            'x',
            rounds.map(({ latency }, round) => latency[point] / (plain[round]?.latency[point] ?? Number.NaN)),
          ),
        ),
        each(`${path} p50 from COMMIT sent`, rounds, ({ fromSent }) => fromSent.p50),
        each(`${path} p99 from COMMIT sent`, rounds, ({ fromSent }) => fromSent.p99),
        ...stages.map((stage) =>
          each(`  ${stage}, mean of ${path}`, rounds, ({ staged }) => meanOf(staged, stage)),
        ),
        each(`  all of it, mean of ${path}`, rounds, ({ staged }) =>
          mean(staged.map(({ latencyMs }) => latencyMs)),
        ),
      ]
    }),
  ]
}

function ratesOf({ values }: BenchmarkOptions): readonly number[] {
  const rates = (values['rates'] ?? '200,1000').split(',').map(Number)
  if (rates.every((rate) => Number.isInteger(rate) && rate > 0 && rate <= 100_000)) return rates
  throw new WrongUse(`--rates ${values['rates']}: whole numbers of events a second, separated by commas`)
}
