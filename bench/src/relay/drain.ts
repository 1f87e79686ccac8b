import type { Drained } from './relay-benchmark.js'

export interface DrainEnvironment {
  readonly databaseUrl: string
  readonly brokers: readonly string[]
  readonly topic: string
  /** Relay name or transactional id: new for each drain. */
  readonly name: string
  readonly events: number
}

/** What the benchmark passes to a drain process. */
export function environment(): DrainEnvironment {
  const read = (name: string): string => {
    const value = process.env[name]
    if (value === undefined) throw new Error(`${name} is not set: run pnpm bench relay`)
    return value
  }
  return {
    databaseUrl: read('BENCH_DATABASE_URL'),
    brokers: read('BENCH_BROKERS').split(','),
    topic: read('BENCH_TOPIC'),
    name: read('BENCH_NAME'),
    events: Number(read('BENCH_EVENTS')),
  }
}

export function report(events: number, startedMs: number, startedCpu: NodeJS.CpuUsage): void {
  const { user, system } = process.cpuUsage(startedCpu)
  const drained: Drained = {
    events,
    seconds: (performance.now() - startedMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
    rssMb: process.memoryUsage.rss() / 2 ** 20,
  }
  process.stdout.write(JSON.stringify(drained))
}
