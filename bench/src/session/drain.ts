import { passed, report } from '../drained.js'
import type { CompressionType } from '@oncebox/kafka'
import { compressionNamed } from './compression.js'
import { inTransactions, type SampleEvent } from './sample-event.js'
import type { TransactionSize } from './transaction-size.js'

export interface SessionDrain extends TransactionSize {
  readonly brokers: readonly string[]
  readonly topic: string
  /** Transactional id: new for each drain. */
  readonly name: string
  readonly compression: 'none' | CompressionType
}

/** What the benchmark passes to a drain process. */
export const sessionDrain = (): SessionDrain => ({
  brokers: passed('BENCH_BROKERS').split(','),
  topic: passed('BENCH_TOPIC'),
  name: passed('BENCH_NAME'),
  events: Number(passed('BENCH_EVENTS')),
  warmUpEvents: Number(passed('BENCH_WARM_UP_EVENTS')),
  eventsPerTransaction: Number(passed('BENCH_EVENTS_PER_TRANSACTION')),
  compression: compressionNamed(passed('BENCH_COMPRESSION')),
})

/** The same as variables. */
export const toEnvironment = (drain: SessionDrain): Record<string, string> => ({
  BENCH_BROKERS: drain.brokers.join(','),
  BENCH_TOPIC: drain.topic,
  BENCH_NAME: drain.name,
  BENCH_EVENTS: String(drain.events),
  BENCH_WARM_UP_EVENTS: String(drain.warmUpEvents),
  BENCH_EVENTS_PER_TRANSACTION: String(drain.eventsPerTransaction),
  BENCH_COMPRESSION: drain.compression,
})

/** Sends the warm-up, then the measured events. The clock runs from the first record being made to the last commit. */
export async function measure(
  { events, warmUpEvents, eventsPerTransaction }: SessionDrain,
  send: (transactions: Iterable<readonly SampleEvent[]>) => Promise<void>,
): Promise<void> {
  await send(inTransactions(warmUpEvents, eventsPerTransaction))
  const startedMs = performance.now()
  const startedCpu = process.cpuUsage()
  await send(inTransactions(events, eventsPerTransaction))
  report(events, startedMs, startedCpu)
}
