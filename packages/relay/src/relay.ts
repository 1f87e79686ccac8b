import { randomUUID } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { hostname } from 'node:os'
import { pino } from 'pino'
import { channels, delay, nextDelayMs, OutboxError, type Service, type ServiceState } from '@oncebox/core'
import { connectKafka, type KafkaClient } from '@oncebox/kafka'
import { bounded, connectDatabase } from './database-connections.js'
import { startHttpServer, type RelayHttpServer } from './observing/http-server.js'
import { RelayMetrics } from './observing/relay-metrics.js'
import { openShard } from './opening/open-shard.js'
import { resolveOptions, type RelayLogger, type RelayOptions, type ResolvedRelayOptions } from './options.js'
import {
  openWindowReader,
  publishShard,
  type OpenReader,
  type PublishObserver,
} from './publishing/publish-shard.js'
import { Wakeup } from './reading/wakeup.js'

/** Publishes an outbox to Kafka. */
export interface Relay extends Service {
  /** Where `/metrics` and `/healthz` are served; undefined when they are not. */
  readonly httpUrl: string | undefined
  /** Resolves when the relay has stopped; rejects with the reason when it stopped by itself. */
  readonly stopped: Promise<void>
}

/**
 * A relay as a library. It publishes each committed event of the outbox exactly once, in order per key, whatever is
 * killed or restarted; a second relay with the same name takes over from the first.
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
  return new ShardRelay(
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

const shard = 0
// The wait for an older incarnation's transaction included, which Kafka ends by its own timeout at the latest.
const openTimeoutMs = 180_000
const reopenBackoff = { minMs: 50, maxMs: 5_000 }

class ShardRelay implements Relay {
  readonly #options: ResolvedRelayOptions
  readonly #openReader: OpenReader
  readonly #log: RelayLogger
  readonly #metrics: RelayMetrics
  readonly #events = new EventEmitter()
  #state: ServiceState = 'created'
  #stopping = new AbortController()
  #run: Promise<void> | undefined
  #http: RelayHttpServer | undefined
  #epoch: number | undefined
  #holder = ''
  #failedAttempts = 0

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

  get stopped(): Promise<void> {
    return this.#run ?? Promise.resolve()
  }

  async start({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state !== 'created' && this.#state !== 'stopped')
      throw new OutboxError('RELAY_OPTIONS_INVALID', `start() in state ${this.#state}: create a new relay`)
    this.#state = 'starting'
    this.#stopping = new AbortController()
    this.#epoch = undefined
    this.#holder = `${hostname()}:${process.pid}:${randomUUID()}`
    const opened = once(this.#events, 'opened')
    const timeout = AbortSignal.timeout(this.#options.startTimeoutMs)
    const giveUp = AbortSignal.any(signal === undefined ? [timeout] : [timeout, signal])
    const onGiveUp = (): void => this.#stopping.abort(giveUp.reason)
    giveUp.addEventListener('abort', onGiveUp, { once: true })
    try {
      if (this.#options.http !== undefined)
        this.#http = await startHttpServer(this.#options.http, () => this.#state, this.#metrics)
      this.#run = this.#supervise()
      this.#run.catch(() => undefined)
      await Promise.race([opened, this.#run])
      if (this.#stopping.signal.aborted) {
        await this.#run
        throw new OutboxError('RELAY_OPTIONS_INVALID', 'the relay was stopped while it started')
      }
      this.#state = 'running'
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
    this.#stopping.abort()
    const deadline = AbortSignal.timeout(timeoutMs)
    // Whatever is in hand after the deadline is abandoned: Kafka aborts it, or the next start finds it committed.
    await Promise.race([this.#run?.catch(() => undefined), once(deadline, 'abort')])
    this.#state = 'stopped'
    await this.#closeHttp()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #closeHttp(): Promise<void> {
    const http = this.#http
    this.#http = undefined
    await http?.[Symbol.asyncDispose]()
  }

  /** Opens and publishes until stopped; at any doubt it forgets everything and opens again from Kafka. */
  async #supervise(): Promise<void> {
    const { signal } = this.#stopping
    using wakeup = new Wakeup(this.#options)
    let lastError: unknown
    while (!signal.aborted) {
      try {
        await this.#openAndPublish(wakeup, signal)
      } catch (error) {
        lastError = error
        if (signal.aborted) break
        if (isFinal(error) || (this.#state === 'starting' && isRefusal(error))) return await this.#fail(error)
        await this.#backOff(error, signal)
      }
    }
    if (this.#state === 'starting') throw lastError ?? signal.reason
  }

  async #openAndPublish(wakeup: Wakeup, signal: AbortSignal): Promise<void> {
    await using database = await connectDatabase(this.#options.db, this.#options.name)
    const kafka: KafkaClient = await connectKafka(this.#options.kafka, { signal })
    try {
      const open = await bounded(
        database.reader,
        openTimeoutMs,
        async () =>
          await openShard({
            options: this.#options,
            shard,
            kafka,
            database,
            holder: this.#holder,
            heldEpoch: this.#epoch,
            signal,
            onEpoch: (epoch) => {
              this.#epoch = epoch
            },
          }),
      )
      const { epoch, incarnation, position } = open
      const facts = { relay: this.#options.name, shard, epoch, incarnation, position }
      channels.relayOpened.publish(facts)
      this.#log.info(
        { shard, epoch, incarnation, batch: position.batch, eventsTotal: position.eventsTotal },
        'shard opened',
      )
      this.#events.emit('opened')
      try {
        await publishShard({
          options: this.#options,
          open,
          kafka,
          database,
          wakeup,
          observer: this.#observer,
          openReader: this.#openReader,
          signal,
        })
      } finally {
        await open.session.close()
      }
    } finally {
      await kafka.close()
    }
  }

  /** Only work that was done ends a row of failures: opening alone does not, or a refusing topic would be tried without a pause. */
  readonly #observer: PublishObserver = {
    idle: () => {
      this.#failedAttempts = 0
      this.#metrics.idle()
    },
    published: (batch) => {
      this.#failedAttempts = 0
      this.#metrics.published(batch)
    },
  }

  async #backOff(error: unknown, signal: AbortSignal): Promise<void> {
    const delayMs = nextDelayMs(reopenBackoff, ++this.#failedAttempts)
    channels.relayReopening.publish({ relay: this.#options.name, shard, error })
    this.#metrics.reopened()
    this.#log.warn(
      { shard, err: error, delayMs: Math.round(delayMs) },
      'opening again from the position in Kafka',
    )
    await delay(delayMs, signal).catch(() => undefined)
  }

  async #fail(error: unknown): Promise<never> {
    channels.relayFailed.publish({ relay: this.#options.name, shard, error })
    this.#log.error(
      { shard, err: error, ...(OutboxError.is(error) ? { remedy: error.remedy } : {}) },
      'stopped',
    )
    this.#state = 'failed'
    await this.#closeHttp()
    throw error
  }
}

/** Whether trying again cannot help. What is not ours (a lost connection, a refused one) may pass. */
function isFinal(error: unknown): boolean {
  return (
    OutboxError.is(error) &&
    !error.retriable &&
    error.code !== 'KAFKA_FENCED' &&
    error.code !== 'KAFKA_SESSION_CLOSED' &&
    error.code !== 'RELAY_STANDBY_REFUSED'
  )
}

/** What a server refuses because it was configured so: wrong password, no such database, a missing privilege, a standby. A start says so at once. */
function isRefusal(error: unknown): boolean {
  if (OutboxError.is(error, 'RELAY_STANDBY_REFUSED')) return true
  const sqlState = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return /^(28|3D|42)...$/.test(sqlState)
}
