import { OutboxError } from '@oncebox/core'
import type { KafkaOptions } from '@oncebox/kafka'
import { checkMigrations } from '@oncebox/outbox'
import { Kafka, logLevel } from 'kafkajs'
import { Assignment, revoked } from './assignment.js'
import { AttemptStore } from './attempt-store.js'
import { clusterFacts, type ClusterFacts } from './cluster-facts.js'
import { EventRunner } from './event-runner.js'
import type { AnyHandler } from './event.js'
import { GroupClient } from './group-client.js'
import { plugInCodecs } from './kafkajs-codecs.js'
import { inboxMigrations } from './migrate.js'
import type { ResolvedConsumerOptions } from './options.js'
import { PositionStore } from './position-store.js'
import type { Reporter } from './report.js'
import { endBackend } from './sql/end-backend.js'
import { TopicWatch } from './topic-watch.js'

const graceMs = 1_000

/** One life of a consumer, from start to stop: its membership, its partitions, its connections to Kafka. */
export class ConsumerRun<Tx> {
  readonly #options: ResolvedConsumerOptions<Tx>
  readonly #cluster: ClusterFacts
  readonly #assignment: Assignment<Tx>
  readonly #group: GroupClient
  readonly #watch: TopicWatch
  readonly #positioned: Promise<void>
  readonly #stopping = new AbortController()
  #isStarted = false

  /** @param onFatal Told once when the run cannot go on by itself; stop() has still to be called. */
  constructor(
    options: ResolvedConsumerOptions<Tx>,
    handlers: ReadonlyMap<string, AnyHandler<Tx>>,
    report: Reporter,
    onFatal: (error: OutboxError) => void,
  ) {
    this.#options = options
    const kafka = kafkaOf(options.kafka)
    this.#cluster = clusterFacts(kafka, options.kafka)
    const attempts = new AttemptStore(options.db.outside, options.name)
    const positions = new PositionStore(options.db.outside, options.name)
    const runner = new EventRunner(options, handlers, attempts, report)
    let onPositioned: () => void = () => undefined
    let onFailed: (error: OutboxError) => void = () => undefined
    this.#positioned = new Promise((resolve, reject) => {
      onPositioned = resolve
      onFailed = reject
    })
    this.#positioned.catch(() => undefined) // start() may be over when it is rejected
    const fatal = (error: OutboxError): void => {
      onFailed(error)
      onFatal(error)
    }
    this.#assignment = new Assignment(
      options,
      runner,
      { positions, attempts, cluster: this.#cluster },
      report,
      { onPositioned, onFatal: fatal },
    )
    this.#watch = new TopicWatch(this.#cluster, this.#assignment)
    this.#group = new GroupClient(kafka, options, {
      onAssigned: (partitions, fetches) => {
        this.#assignment.replace(partitions, fetches)
        this.#watch.use(fetches)
      },
      onBatch: (at, batch, controls, fetches) => this.#assignment.handle(at, batch, controls, fetches),
      onPassedOver: (at, first, last, fetches) => this.#assignment.passOver(at, first, last, fetches),
      onRevoked: () => this.#assignment.abort(revoked()),
      onRestart: (error) => report.restarting(error),
      onFatal: fatal,
    })
  }

  /** Resolves when the partitions of the first assignment are positioned. */
  async start(given: AbortSignal | undefined): Promise<void> {
    const { signal: stopping } = this.#stopping
    const signal = given === undefined ? stopping : AbortSignal.any([given, stopping])
    await unlessAborted(checkMigrations(this.#options.db.outside, inboxMigrations), signal)
    this.#isStarted = true
    this.#group.start()
    this.#watch.start()
    await unlessAborted(this.#positioned, signal)
  }

  /** Finishes the events in hand and leaves the group; after `timeoutMs` gives them up. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping.abort(
      new OutboxError('CONSUMER_OPTIONS_INVALID', 'the consumer was stopped while it started'),
    )
    if (!this.#isStarted) return
    const left = this.#group.stop()
    left.catch(() => undefined) // awaited below, unless a handler never returns
    if (!(await settlesWithin(left, timeoutMs))) {
      this.#assignment.abort(
        new OutboxError('CONSUMER_STOP_TIMEOUT', `the work in hand was not finished in ${timeoutMs} ms`),
      )
      if (!(await settlesWithin(left, graceMs))) {
        await settlesWithin(this.#endBackends(), graceMs)
        await settlesWithin(left, graceMs)
      }
    }
    this.#assignment.abort(revoked())
    // Bounded: a statement that a silent database never answers must not hold the stop.
    await settlesWithin(Promise.all([this.#watch.stop(), this.#assignment.settled()]), graceMs)
    await this.#cluster.close()
  }

  /** A handler that ignores its signal must not commit later, nor use a connection that somebody else has by then. */
  async #endBackends(): Promise<void> {
    const { outside } = this.#options.db
    await Promise.allSettled(this.#assignment.backends.map((backend) => outside.query(endBackend, [backend])))
  }
}

function kafkaOf({
  brokers,
  clientId = 'oncebox',
  ssl,
  sasl,
  connectionTimeoutMs,
  requestTimeoutMs,
  decompressedBytesMax = 64 * 1024 * 1024,
}: KafkaOptions): Kafka {
  plugInCodecs(decompressedBytesMax)
  return new Kafka({
    brokers: [...brokers],
    clientId,
    // What kafkajs would log reaches the diagnostics channels as restarts.
    logLevel: logLevel.NOTHING,
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl }),
    ...(connectionTimeoutMs === undefined ? {} : { connectionTimeout: connectionTimeoutMs }),
    ...(requestTimeoutMs === undefined ? {} : { requestTimeout: requestTimeoutMs }),
  })
}

async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clearTimeout(timer)
  }
}

/** The promise, or a rejection with the signal's reason, whichever is first. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    if (signal.aborted) onAbort()
    await Promise.race([aborted, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
