import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { pino } from 'pino'
import { OutboxError, type Service, type ServiceState } from '@oncebox/core'
import { startTracing } from '@oncebox/telemetry'
import { startHttpServer, type RelayHttpServer } from './observing/http-server.js'
import { OutboxWatch } from './observing/outbox-watch.js'
import { unreadyReasons, type UnreadyReason } from './observing/readiness.js'
import { RelayMetrics } from './observing/relay-metrics.js'
import { Watchdog } from './observing/watchdog.js'
import { resolveOptions, type RelayLogger, type RelayOptions, type ResolvedRelayOptions } from './options.js'
import { openWindowReader, type OpenReader } from './publishing/publish-shard.js'
import { RelayRun } from './running/relay-run.js'
import type { ShardStatus } from './running/shard-status.js'

/** Publishes an outbox to Kafka. */
export interface Relay extends Service {
  /** Where `/metrics`, `/readyz` and `/healthz` are served; undefined when they are not. */
  readonly httpUrl: string | undefined
  /** The shards that this process publishes now, ascending. None: others have them all, and it stands by. */
  readonly shards: readonly number[]
  /** What each of them does: publishing, or why not. Ascending by shard. */
  readonly status: readonly ShardStatus[]
  /** Why it is not ready; empty when it is. As `/readyz` tells it. */
  readonly unreadyReasons: readonly UnreadyReason[]
  /** Resolves when the relay has stopped; rejects with the reason when it stopped by itself. */
  readonly stopped: Promise<void>
}

/**
 * A relay as a library. It publishes each committed event of the outbox exactly once, in order per key, whatever is
 * killed or restarted. Several processes with the same name share the shards: one that is killed is replaced within
 * `leaseMs` and a little.
 *
 * @example
 * const relay = createRelay({ name: 'orders', db: { connectionString }, kafka: { brokers } })
 * await relay.start()
 * await relay.stop()
 * @throws OutboxError RELAY_OPTIONS_INVALID
 */
export function createRelay(options: RelayOptions): Relay {
  return createRelayReading(options, openWindowReader)
}

/** As createRelay, reading with something else than windows: for the test that shows what another cursor loses. */
export function createRelayReading(options: RelayOptions, openReader: OpenReader): Relay {
  startTracing()
  return new SharedRelay(
    resolveOptions(options),
    openReader,
    options.logger ??
      pino({
        name: `oncebox-relay`,
        level: process.env['ONCEBOX_LOG_LEVEL'] ?? 'info',
        base: { relay: options.name },
      }),
  )
}

class SharedRelay implements Relay {
  readonly #options: ResolvedRelayOptions
  readonly #openReader: OpenReader
  readonly #log: RelayLogger
  readonly #metrics: RelayMetrics
  #state: ServiceState = 'created'
  #run: RelayRun | undefined
  #stopped: Promise<void> = Promise.resolve()
  #http: RelayHttpServer | undefined
  #watch: OutboxWatch | undefined
  #watchdog: Watchdog | undefined

  constructor(options: ResolvedRelayOptions, openReader: OpenReader, log: RelayLogger) {
    this.#options = options
    this.#openReader = openReader
    this.#log = log
    this.#metrics = new RelayMetrics(options.name)
  }

  get state(): ServiceState {
    return this.#state
  }

  get httpUrl(): string | undefined {
    return this.#http?.url
  }

  get shards(): readonly number[] {
    return this.#run?.shards ?? []
  }

  get status(): readonly ShardStatus[] {
    return this.#run?.status ?? []
  }

  get unreadyReasons(): readonly UnreadyReason[] {
    const { readyWithinMs, leaseMs } = this.#options
    const shards = (this.#run?.observed ?? []).map(({ status, activity }) => ({
      status,
      step: activity.step,
      topics: activity.topics,
      progressMs: activity.progressMs,
    }))
    return unreadyReasons(
      { state: this.#state, heartbeatMs: this.#run?.heartbeatMs, shards },
      { nowMs: performance.now(), readyWithinMs, leaseMs },
    )
  }

  get stopped(): Promise<void> {
    return this.#stopped
  }

  async start({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state !== 'created' && this.#state !== 'stopped')
      throw new OutboxError('RELAY_OPTIONS_INVALID', `start() in state ${this.#state}: create a new relay`)
    this.#state = 'starting'
    const timeout = AbortSignal.timeout(this.#options.startTimeoutMs)
    const giveUp = AbortSignal.any(signal === undefined ? [timeout] : [timeout, signal])
    const run = new RelayRun({
      options: this.#options,
      holder: `${hostname()}:${process.pid}:${randomUUID()}`,
      openReader: this.#openReader,
      metrics: this.#metrics,
      log: this.#log,
    })
    this.#run = run
    const onGiveUp = (): void => run.stop(giveUp.reason)
    try {
      await this.#openHttp()
      giveUp.addEventListener('abort', onGiveUp, { once: true })
      if (giveUp.aborted) onGiveUp()
      this.#stopped = this.#follow(run)
      this.#stopped.catch(() => undefined)
      await run.settled
      if (this.#state === 'starting') this.#state = 'running'
      this.#watchdog = new Watchdog({
        relay: this.#options.name,
        log: this.#log,
        reasons: () => this.unreadyReasons,
      })
    } catch (error) {
      this.#state = 'failed'
      await this.#stopObserving()
      throw error
    } finally {
      giveUp.removeEventListener('abort', onGiveUp)
    }
  }

  async stop({ timeoutMs = 30_000 }: { timeoutMs?: number } = {}): Promise<void> {
    if (this.#state === 'created') this.#state = 'stopped'
    if (this.#state === 'stopped' || this.#state === 'failed') return await this.#stopObserving()
    this.#state = 'stopping'
    this.#run?.stop(new OutboxError('RELAY_OPTIONS_INVALID', 'the relay was stopped while it started'))
    const deadline = AbortSignal.timeout(timeoutMs)
    // Whatever is in hand after the deadline is abandoned: Kafka aborts it, or the next start finds it committed.
    await Promise.race([
      this.#stopped.catch(() => undefined),
      new Promise((resolve) => deadline.addEventListener('abort', resolve, { once: true })),
    ])
    this.#state = 'stopped'
    await this.#stopObserving()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Settles as the run does, whether it was stopped or ended by itself. */
  async #follow(run: RelayRun): Promise<void> {
    try {
      await run.start()
    } finally {
      if (this.#run === run && this.#state !== 'stopping' && this.#state !== 'stopped') {
        this.#state = 'failed'
        await this.#stopObserving()
      }
    }
  }

  async #openHttp(): Promise<void> {
    if (this.#options.http === undefined) return
    this.#watch = new OutboxWatch(this.#options.db, this.#options.name)
    this.#http = await startHttpServer(this.#options.http, {
      state: () => this.#state,
      unreadyReasons: () => this.unreadyReasons,
      metricsText: async () => await this.#metricsText(),
      metrics: this.#metrics,
    })
  }

  async #metricsText(): Promise<string> {
    const shards = (this.#run?.observed ?? []).flatMap(({ activity: { shard, cursor, condition } }) =>
      cursor === undefined ? [] : [{ shard, condition, ...cursor }],
    )
    return await this.#metrics.text({
      ready: this.unreadyReasons.length === 0,
      statuses: this.status,
      sight: await this.#watch?.look(shards),
    })
  }

  async #stopObserving(): Promise<void> {
    const [http, watch, watchdog] = [this.#http, this.#watch, this.#watchdog]
    this.#http = undefined
    this.#watch = undefined
    this.#watchdog = undefined
    watchdog?.[Symbol.dispose]()
    await http?.[Symbol.asyncDispose]()
    await watch?.[Symbol.asyncDispose]()
  }
}
