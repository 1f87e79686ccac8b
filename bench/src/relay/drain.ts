import { passed } from '../drained.js'

export interface DrainEnvironment {
  readonly databaseUrl: string
  readonly brokers: readonly string[]
  readonly topic: string
  /** Relay name or transactional id: new for each drain. */
  readonly name: string
  readonly events: number
}

/** What the benchmark passes to a drain process. */
export const environment = (): DrainEnvironment => ({
  databaseUrl: passed('BENCH_DATABASE_URL'),
  brokers: passed('BENCH_BROKERS').split(','),
  topic: passed('BENCH_TOPIC'),
  name: passed('BENCH_NAME'),
  events: Number(passed('BENCH_EVENTS')),
})
