import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { PublishObserver } from '../publishing/publish-shard.js'
import type { ShardObserver } from '../running/shard-runner.js'

/** What the relay counts, as Prometheus metrics named `oncebox_relay_*`, and the facts that health is judged by. */
export class RelayMetrics {
  readonly registry = new Registry()
  /** By shard: when it last published or saw that there is nothing to publish; undefined until then. */
  readonly #progressMs = new Map<number, number | undefined>()
  readonly #events = this.#counter('oncebox_relay_events_total', 'Events committed in Kafka')
  readonly #bytes = this.#counter(
    'oncebox_relay_bytes_total',
    'Bytes of events read from PostgreSQL and committed in Kafka',
  )
  readonly #batches = this.#counter('oncebox_relay_batches_total', 'Kafka transactions committed')
  readonly #reopened = this.#counter(
    'oncebox_relay_reopened_total',
    'Times a shard was opened again after a doubt',
  )
  readonly #shards = new Gauge({
    name: 'oncebox_relay_shards',
    help: 'Shards that this process publishes',
    registers: [this.registry],
  })
  readonly #lag = new Gauge({
    name: 'oncebox_relay_lag_ms',
    help: 'Age of the oldest event of the last batch when it was committed; 0 when nothing waits',
    labelNames: ['shard'],
    registers: [this.registry],
  })
  readonly #transaction = new Histogram({
    name: 'oncebox_relay_transaction_seconds',
    help: 'From a batch in hand to its commit',
    labelNames: ['shard'],
    registers: [this.registry],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  })
  readonly #batchEvents = new Histogram({
    name: 'oncebox_relay_batch_events',
    help: 'Events of a batch',
    labelNames: ['shard'],
    registers: [this.registry],
    buckets: [1, 10, 100, 1_000, 5_000, 50_000],
  })

  constructor(relay: string) {
    this.registry.setDefaultLabels({ relay })
  }

  /**
   * Milliseconds since the shard that is worst off last published or saw that there is nothing to publish; 0 when this
   * process has no shard, undefined when one of them has not done so yet.
   */
  get sinceProgressMs(): number | undefined {
    const times = [...this.#progressMs.values()]
    const oldest = times.reduce(
      (a, b) => (a === undefined || b === undefined ? undefined : Math.min(a, b)),
      Infinity,
    )
    if (oldest === undefined) return undefined
    return oldest === Infinity ? 0 : performance.now() - oldest
  }

  /** Follows a shard from now on. */
  ofShard(shard: number): ShardObserver {
    const labels = { shard: String(shard) }
    this.#progressMs.set(shard, undefined)
    this.#shards.set(this.#progressMs.size)
    return {
      opened: () => undefined,
      idle: () => {
        this.#progressMs.set(shard, performance.now())
        this.#lag.set(labels, 0)
      },
      reopening: () => this.#reopened.inc(labels),
      published: (batch) => {
        this.#progressMs.set(shard, performance.now())
        this.#events.inc(labels, batch.events)
        this.#bytes.inc(labels, batch.bytes)
        this.#batches.inc(labels)
        this.#lag.set(labels, Math.max(0, Date.now() - batch.oldestMs))
        this.#transaction.observe(labels, batch.durationMs / 1000)
        this.#batchEvents.observe(labels, batch.events)
      },
    }
  }

  /** Counts what is published of shards that are being closed. */
  ofClosing(): Pick<PublishObserver, 'idle' | 'published'> {
    return {
      idle: () => undefined,
      published: ({ events, bytes }) => {
        this.#events.inc({ shard: 'closing' }, events)
        this.#bytes.inc({ shard: 'closing' }, bytes)
        this.#batches.inc({ shard: 'closing' })
      },
    }
  }

  /** The shard is not published here any more. */
  closed(shard: number): void {
    this.#progressMs.delete(shard)
    this.#shards.set(this.#progressMs.size)
    this.#lag.remove({ shard: String(shard) })
  }

  #counter(name: string, help: string): Counter<'shard'> {
    return new Counter({ name, help, labelNames: ['shard'], registers: [this.registry] })
  }
}
