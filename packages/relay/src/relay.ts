import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { pino } from 'pino'
import { OutboxError, type Service, type ServiceState } from '@oncebox/core'
import { startTracing } from '@oncebox/telemetry'
import { startHttpServer, type RelayHttpServer } from './observing/http-server.js'
import { RelayMetrics } from './observing/relay-metrics.js'
import { resolveOptions, type RelayLogger, type RelayOptions, type ResolvedRelayOptions } from './options.js'
import { openWindowReader, type OpenReader } from './publishing/publish-shard.js'
import { RelayRun } from './running/relay-run.js'
import type { ShardStatus } from './running/shard-status.js'

/** Publishes an outbox to Kafka. */
export interface Relay extends Service {
  /** Where `/metrics` and `/healthz` are served; undefined when they are not. */
  readonly httpUrl: string | undefined
  /** The shards that this process publishes now, ascending. None: others have them all, and it stands by. */
  readonly shards: readonly number[]
  /** What each of them does: publishing, or why not. Ascending by shard. */
  readonly status: readonly ShardStatus[]
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
      if (this.#options.http !== undefined)
        this.#http = await startHttpServer(this.#options.http, () => this.#state, this.#metrics)
      giveUp.addEventListener('abort', onGiveUp, { once: true })
      if (giveUp.aborted) onGiveUp()
      this.#stopped = this.#follow(run)
      this.#stopped.catch(() => undefined)
      await run.settled
      if (this.#state === 'starting') this.#state = 'running'
    } catch (error) {
      this.#state = 'failed'
      await this.#closeHttp()
      throw error
    } finally {
      giveUp.removeEventListener('abort', onGiveUp)
    }
  }

  async stop({ timeoutMs = 30_000 }: { timeoutMs?: number } = {}): Promise<void> {
    if (this.#state === 'created') this.#state = 'stopped'
    if (this.#state === 'stopped' || this.#state === 'failed') return await this.#closeHttp()
    this.#state = 'stopping'
    this.#run?.stop(new OutboxError('RELAY_OPTIONS_INVALID', 'the relay was stopped while it started'))
    const deadline = AbortSignal.timeout(timeoutMs)
    // Whatever is in hand after the deadline is abandoned: Kafka aborts it, or the next start finds it committed.
    await Promise.race([
      this.#stopped.catch(() => undefined),
      new Promise((resolve) => deadline.addEventListener('abort', resolve, { once: true })),
    ])
    this.#state = 'stopped'
    await this.#closeHttp()
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
        await this.#closeHttp()
      }
    }
  }

  async #closeHttp(): Promise<void> {
    const http = this.#http
    this.#http = undefined
    await http?.[Symbol.asyncDispose]()
  }
}
