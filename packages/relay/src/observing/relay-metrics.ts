import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Holder } from '../inspecting/holders.js'
import { nobody, type PublishObserver } from '../publishing/publish-shard.js'
import type { RotationObserver } from '../rotating/rotator.js'
import type { ShardObserver } from '../running/shard-runner.js'
import type { ShardState, ShardStatus } from '../running/shard-status.js'
import type { Sight } from './outbox-watch.js'

/** What is true at the moment of a scrape. */
export interface Moment {
  readonly ready: boolean
  readonly statuses: readonly ShardStatus[]
  /** Undefined when the database could not be looked at: what it would have told is left out. */
  readonly sight: Sight | undefined
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30]
const shardStates: readonly ShardState[] = ['opening', 'publishing', 'halted', 'reopening']
// Labels of pids come and go: only the oldest are told, and none that was there before.
const holdersTold = 5

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
  readonly #takeovers = this.#counter(
    'oncebox_relay_takeovers_total',
    'Shards taken over from a process that gave no sign of life',
  )
  readonly #fenced = this.#counter(
    'oncebox_relay_fenced_total',
    'Times another process had the shard, and this one stopped publishing it',
  )
  readonly #ready = this.#gauge('oncebox_relay_ready', '1 while /readyz answers 200', [])
  readonly #state = this.#gauge('oncebox_relay_shard_state', '1 for the state that the shard is in', [
    'shard',
    'state',
  ])
  readonly #backlog = this.#gauge(
    'oncebox_relay_backlog_events',
    'Events that are committed and not published; 100000 means so many or more',
    ['shard'],
  )
  readonly #windowLag = this.#gauge(
    'oncebox_relay_window_lag_ms',
    'Age of the oldest transaction that has emitted and not ended; 0 when there is none',
    [],
  )
  readonly #holders = this.#gauge(
    'oncebox_relay_window_holders',
    'Transactions that have emitted and not ended, prepared ones included',
    [],
  )
  readonly #holderAge = this.#gauge(
    'oncebox_relay_window_holder_age_ms',
    'Age of the oldest five of them, by backend or by the name of the prepared transaction',
    ['pid', 'gid'],
  )
  readonly #deadLetters = this.#counter(
    'oncebox_relay_dead_letters_total',
    'Events that were set aside, those of parked keys included',
  )
  readonly #parkedKeys = this.#gauge('oncebox_relay_parked_keys', 'Keys whose events are set aside', [
    'shard',
  ])
  readonly #unconfirmed = this.#counter(
    'oncebox_relay_unconfirmed_total',
    'Times that rotation asked and what was published could not be confirmed',
  )
  readonly #emptied = new Counter({
    name: 'oncebox_relay_slots_emptied_total',
    help: 'Slots emptied by this process',
    labelNames: ['relation'],
    registers: [this.registry],
  })
  readonly #held = new Gauge({
    name: 'oncebox_relay_rotation_held_ms',
    help: 'For how long a slot should have been emptied and could not be; 0 when none is due',
    labelNames: ['relation'],
    registers: [this.registry],
  })
  readonly #shards = new Gauge({
    name: 'oncebox_relay_shards',
    help: 'Shards that this process publishes',
    registers: [this.registry],
  })
  readonly #lag = new Gauge({
    name: 'oncebox_relay_lag_ms',
    help: 'Age of the oldest event that is committed and not published; 0 when there is none',
    labelNames: ['shard'],
    registers: [this.registry],
  })
  readonly #transaction = new Histogram({
    name: 'oncebox_relay_transaction_seconds',
    help: 'From a batch in hand to its commit',
    labelNames: ['shard'],
    registers: [this.registry],
    buckets: seconds,
  })
  readonly #read = new Histogram({
    name: 'oncebox_relay_read_seconds',
    help: 'Reading a page of a window that had events',
    labelNames: ['shard'],
    registers: [this.registry],
    buckets: seconds,
  })
  readonly #age = new Histogram({
    name: 'oncebox_relay_event_age_seconds',
    help: 'Age of the oldest event of a batch when it was committed in Kafka',
    labelNames: ['shard'],
    registers: [this.registry],
    buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3_600],
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
      ...nobody,
      opened: () => undefined,
      idle: () => {
        this.#progressMs.set(shard, performance.now())
      },
      reopening: () => this.#reopened.inc(labels),
      setAside: (letters, parkedKeys) => {
        this.#deadLetters.inc(labels, letters)
        this.#parkedKeys.set(labels, parkedKeys)
      },
      unconfirmed: () => this.#unconfirmed.inc(labels),
      published: (batch) => {
        this.#progressMs.set(shard, performance.now())
        this.#events.inc(labels, batch.events)
        this.#bytes.inc(labels, batch.bytes)
        this.#batches.inc(labels)
        this.#age.observe(labels, Math.max(0, Date.now() - batch.oldestMs) / 1000)
        this.#read.observe(labels, batch.readMs / 1000)
        this.#transaction.observe(labels, batch.durationMs / 1000)
        this.#batchEvents.observe(labels, batch.events)
      },
    }
  }

  takenOver(shard: number): void {
    this.#takeovers.inc({ shard: String(shard) })
  }

  fenced(shard: number): void {
    this.#fenced.inc({ shard: String(shard) })
  }

  /** Everything, with what is true now. */
  async text({ ready, statuses, sight }: Moment): Promise<string> {
    this.#ready.set({}, ready ? 1 : 0)
    this.#state.reset()
    for (const { shard, state } of statuses)
      for (const one of shardStates)
        this.#state.set({ shard: String(shard), state: one }, one === state ? 1 : 0)
    this.#see(sight)
    return await this.registry.metrics()
  }

  #see(sight: Sight | undefined): void {
    for (const gauge of [this.#backlog, this.#lag, this.#windowLag, this.#holders, this.#holderAge])
      gauge.reset()
    if (sight === undefined) {
      // A gauge without labels that is reset says 0, which would be a lie.
      for (const gauge of [this.#windowLag, this.#holders]) gauge.remove({})
      return
    }
    for (const [shard, { events, oldestMs }] of sight.backlogs) {
      this.#backlog.set({ shard: String(shard) }, events)
      this.#lag.set({ shard: String(shard) }, Math.round(oldestMs))
    }
    this.#seeHolders(sight.holders)
  }

  #seeHolders(holders: readonly Holder[]): void {
    this.#holders.set({}, holders.length)
    this.#windowLag.set({}, Math.max(0, ...holders.map(({ ageMs = 0 }) => ageMs)))
    for (const { pid, gid, ageMs } of holders.slice(0, holdersTold))
      if (ageMs !== undefined)
        this.#holderAge.set({ pid: pid === undefined ? '' : String(pid), gid: gid ?? '' }, ageMs)
  }

  /** Follows the rotation. */
  ofRotation(): RotationObserver {
    return {
      emptied: (relation) => this.#emptied.inc({ relation }),
      held: (relation, heldMs) => this.#held.set({ relation }, heldMs),
    }
  }

  /** Counts what is published of shards that are being closed. */
  ofClosing(): PublishObserver {
    return {
      ...nobody,
      setAside: (letters) => this.#deadLetters.inc({ shard: 'closing' }, letters),
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
    for (const gauge of [this.#lag, this.#backlog, this.#parkedKeys]) gauge.remove({ shard: String(shard) })
  }

  #gauge<Label extends string>(name: string, help: string, labelNames: Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames, registers: [this.registry] })
  }

  #counter(name: string, help: string): Counter<'shard'> {
    return new Counter({ name, help, labelNames: ['shard'], registers: [this.registry] })
  }
}
