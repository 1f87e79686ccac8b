import { passed } from '../drained.js'

/** How a consumer works. */
export interface Setting {
  readonly mode: 'inbox' | 'position'
  /** One transaction for each event, or for what a fetch brings of a partition. */
  readonly per: 'event' | 'batch'
  /** Partitions handled in parallel. */
  readonly concurrency: number
}

export interface ConsumerDrain extends Setting {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly url: string
  /** Group and consumer: new for each drain. */
  readonly name: string
  readonly events: number
  readonly warmUpEvents: number
}

/** What the benchmark passes to a drain process. */
export const consumerDrain = (): ConsumerDrain => ({
  mode: passed('BENCH_MODE') === 'position' ? 'position' : 'inbox',
  per: passed('BENCH_PER') === 'event' ? 'event' : 'batch',
  concurrency: Number(passed('BENCH_CONCURRENCY')),
  brokers: passed('BENCH_BROKERS').split(','),
  topic: passed('BENCH_TOPIC'),
  url: passed('BENCH_DATABASE_URL'),
  name: passed('BENCH_NAME'),
  events: Number(passed('BENCH_EVENTS')),
  warmUpEvents: Number(passed('BENCH_WARM_UP_EVENTS')),
})

/** The same as variables. */
export const toEnvironment = (drain: ConsumerDrain): Record<string, string> => ({
  BENCH_MODE: drain.mode,
  BENCH_PER: drain.per,
  BENCH_CONCURRENCY: String(drain.concurrency),
  BENCH_BROKERS: drain.brokers.join(','),
  BENCH_TOPIC: drain.topic,
  BENCH_DATABASE_URL: drain.url,
  BENCH_NAME: drain.name,
  BENCH_EVENTS: String(drain.events),
  BENCH_WARM_UP_EVENTS: String(drain.warmUpEvents),
})
