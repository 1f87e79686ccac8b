import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { PublishedBatch, PublishObserver } from '../publishing/publish-shard.js'

/** What the relay counts, as Prometheus metrics named `oncebox_relay_*`, and the facts that health is judged by. */
export class RelayMetrics implements PublishObserver {
  readonly registry = new Registry()
  #lastProgressMs: number | undefined
  readonly #events = this.#counter('oncebox_relay_events_total', 'Events committed in Kafka')
  readonly #bytes = this.#counter(
    'oncebox_relay_bytes_total',
    'Bytes of events read from PostgreSQL and committed in Kafka',
  )
  readonly #batches = this.#counter('oncebox_relay_batches_total', 'Kafka transactions committed')
  readonly #reopened = this.#counter(
    'oncebox_relay_reopened_total',
    'Times the session was opened again after a doubt',
  )
  readonly #lag = new Gauge({
    name: 'oncebox_relay_lag_ms',
    help: 'Age of the oldest event of the last batch when it was committed; 0 when nothing waits',
    registers: [this.registry],
  })
  readonly #transaction = new Histogram({
    name: 'oncebox_relay_transaction_seconds',
    help: 'From a batch in hand to its commit',
    registers: [this.registry],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  })
  readonly #batchEvents = new Histogram({
    name: 'oncebox_relay_batch_events',
    help: 'Events of a batch',
    registers: [this.registry],
    buckets: [1, 10, 100, 1_000, 5_000, 50_000],
  })

  constructor(relay: string) {
    this.registry.setDefaultLabels({ relay })
  }

  /** Milliseconds since the relay last published or saw that there is nothing to publish; undefined before the first time. */
  get sinceProgressMs(): number | undefined {
    return this.#lastProgressMs === undefined ? undefined : performance.now() - this.#lastProgressMs
  }

  idle(): void {
    this.#lastProgressMs = performance.now()
    this.#lag.set(0)
  }

  reopened(): void {
    this.#reopened.inc()
  }

  published(batch: PublishedBatch): void {
    this.#lastProgressMs = performance.now()
    this.#events.inc(batch.events)
    this.#bytes.inc(batch.bytes)
    this.#batches.inc()
    this.#lag.set(Math.max(0, Date.now() - batch.oldestMs))
    this.#transaction.observe(batch.durationMs / 1000)
    this.#batchEvents.observe(batch.events)
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] })
  }
}
