import { OutboxError, type AnyTopic, type Service, type ServiceState } from '@oncebox/core'
import { startTracing } from '@oncebox/telemetry'
import type {
  AckContext,
  AnyEventOf,
  BatchHandler,
  ConsumedEvent,
  ConsumedPayload,
  DatabaseContext,
  EventTypeOf,
  Handler,
  HandlerContext,
  KafkaContext,
  RedisContext,
} from './event.js'
import { replayDeadLetter, type ReplayResult } from './failing/replay.js'
import { Handlers } from './handlers.js'
import type { PartitionLag } from './lag/partition-lag.js'
import { DatabaseMode } from './modes/database-mode.js'
import { KafkaMode, ManualAckMode, RedisMode, UnguardedMode } from './modes/group-mode.js'
import type { Mode } from './modes/mode.js'
import type {
  DatabaseOptions,
  KafkaModeOptions,
  ManualAckOptions,
  RedisModeOptions,
  UnguardedOptions,
} from './options.js'
import {
  resolveDatabaseOptions,
  resolveKafkaModeOptions,
  resolveRedisModeOptions,
  resolveUnguardedOptions,
  type ResolvedCommonOptions,
} from './resolved-options.js'
import { Reporter, type ConsumerCounts } from './report.js'
import { ConsumerRun } from './running/consumer-run.js'
import { Pauses, type PartitionSelection } from './running/pauses.js'

/** A consumer. Made by {@link createConsumer}; what handlers may use depends on its mode. */
export interface Consumer<Topics extends readonly AnyTopic[], Context> extends Service {
  readonly name: string
  /** What happened since the consumer was created. */
  readonly counts: ConsumerCounts
  /** Why the consumer stopped by itself; undefined unless `state` is `failed`. */
  readonly failure: OutboxError | undefined
  /**
   * How far each partition is behind that this member has: from the next event to the last stable offset. None while the
   * consumer does not run, or its group rebalances.
   * @throws OutboxError KAFKA_UNAVAILABLE, KAFKA_TOPIC_UNAVAILABLE
   */
  lag(options?: { readonly signal?: AbortSignal }): Promise<readonly PartitionLag[]>
  /**
   * Begins no other event of these partitions, or of all, until resume(); those in hand are finished. The member keeps its
   * partitions, and partitions that it is assigned meanwhile are paused, too. Of this process; ends with it. Events of a parked key
   * are retried all the same.
   * @throws OutboxError CONSUMER_OPTIONS_INVALID when a topic is not of this consumer
   */
  pause(partitions?: readonly PartitionSelection[]): void
  /**
   * Goes on with these partitions, or with all, where they were paused.
   * @throws OutboxError CONSUMER_OPTIONS_INVALID when a topic is not of this consumer
   */
  resume(partitions?: readonly PartitionSelection[]): void
  /**
   * Registers the handler of an event type, before start(). Types without a handler are skipped and counted.
   * @throws OutboxError CONSUMER_OPTIONS_INVALID when the type has a handler, or no topic has the type
   */
  on<Type extends EventTypeOf<Topics>>(
    type: Type,
    handler: Handler<Context, ConsumedEvent<Type, ConsumedPayload<Topics, Type>>>,
  ): void
  /**
   * Registers one handler for batches of all event types, before start(), in place of on(). When it throws, it is called
   * again with each event alone.
   * @throws OutboxError CONSUMER_OPTIONS_INVALID
   */
  onBatch(handler: BatchHandler<Context, AnyEventOf<Topics>>): void
}

/** A consumer whose effects are in a database, and its dead letters beside them. */
export interface DatabaseConsumer<Tx, Topics extends readonly AnyTopic[]> extends Consumer<
  Topics,
  DatabaseContext<Tx>
> {
  /**
   * Runs the handlers of dead letters, by event id, one after the other, each in a transaction of its own that also
   * takes the letter off the list. Needs no running consumer.
   */
  replay(options: {
    readonly ids: readonly string[]
    readonly signal?: AbortSignal
  }): Promise<readonly ReplayResult[]>
}

/**
 * A consumer. Its mode is its guarantee, and decides what handlers may use: in `inbox` and `position` the transaction `tx`
 * of the effect, in `kafka` `send`, in `redis` `write`, in `at-least-once` with `ack: 'manual'` `ack`.
 *
 * @example
 * const consumer = createConsumer({ group: 'billing', topics: [orders], db: fromKnex(knex), kafka: { brokers }, mode: 'inbox' })
 * consumer.on('order.placed', async (event, { tx }) => {
 *   await tx('charges').insert({ order_id: event.payload.orderId, cents: event.payload.totalCents })
 * })
 * await consumer.start()
 * @throws OutboxError CONSUMER_OPTIONS_INVALID
 */
export function createConsumer<Tx, const Topics extends readonly AnyTopic[]>(
  options: DatabaseOptions<Tx, Topics>,
): DatabaseConsumer<Tx, Topics>
export function createConsumer<
  const Topics extends readonly AnyTopic[],
  const Outputs extends readonly AnyTopic[],
>(options: KafkaModeOptions<Topics, Outputs>): Consumer<Topics, KafkaContext<Outputs>>
export function createConsumer<const Topics extends readonly AnyTopic[]>(
  options: RedisModeOptions<Topics>,
): Consumer<Topics, RedisContext>
export function createConsumer<const Topics extends readonly AnyTopic[]>(
  options: ManualAckOptions<Topics>,
): Consumer<Topics, AckContext>
export function createConsumer<const Topics extends readonly AnyTopic[]>(
  options: UnguardedOptions<Topics>,
): Consumer<Topics, HandlerContext>
export function createConsumer<Tx, Topics extends readonly AnyTopic[], Outputs extends readonly AnyTopic[]>(
  options:
    | DatabaseOptions<Tx, Topics>
    | KafkaModeOptions<Topics, Outputs>
    | RedisModeOptions<Topics>
    | ManualAckOptions<Topics>
    | UnguardedOptions<Topics>,
): unknown {
  startTracing()
  switch (options.mode) {
    case 'inbox':
    case 'position':
      return createDatabaseConsumer<Tx, Topics>(options)
    case 'kafka': {
      const resolved = resolveKafkaModeOptions(options)
      return new RunningConsumer<Topics, KafkaContext<Outputs>>(resolved, new KafkaMode(resolved))
    }
    case 'redis': {
      const resolved = resolveRedisModeOptions(options)
      return new RunningConsumer<Topics, RedisContext>(resolved, new RedisMode(resolved))
    }
    case 'at-least-once':
    case 'at-most-once': {
      const resolved = resolveUnguardedOptions(options)
      if (resolved.ack === 'manual')
        return new RunningConsumer<Topics, AckContext>(resolved, new ManualAckMode(resolved))
      return new RunningConsumer<Topics, HandlerContext>(resolved, new UnguardedMode(resolved))
    }
    default:
      throw invalid(
        `mode is ${JSON.stringify((options as { readonly mode?: unknown }).mode)}: one of inbox, position, redis, kafka, at-least-once, at-most-once`,
      )
  }
}

function createDatabaseConsumer<Tx, Topics extends readonly AnyTopic[]>(
  options: DatabaseOptions<Tx, Topics>,
): DatabaseConsumer<Tx, Topics> {
  const resolved = resolveDatabaseOptions(options)
  const handlers = new Handlers<DatabaseContext<Tx>>()
  const consumer = new RunningConsumer<Topics, DatabaseContext<Tx>>(
    resolved,
    new DatabaseMode(resolved),
    handlers,
  )
  return Object.assign(consumer, {
    async replay({
      ids,
      signal = new AbortController().signal,
    }: {
      readonly ids: readonly string[]
      readonly signal?: AbortSignal
    }): Promise<readonly ReplayResult[]> {
      const results: ReplayResult[] = []
      for (const id of ids) {
        signal.throwIfAborted()
        results.push(await replayDeadLetter(resolved, handlers, id, signal))
      }
      return results
    },
  })
}

class RunningConsumer<Topics extends readonly AnyTopic[], Context> implements Consumer<Topics, Context> {
  readonly #options: ResolvedCommonOptions
  readonly #mode: Mode<Context>
  readonly #handlers: Handlers<Context>
  readonly #report: Reporter
  readonly #pauses = new Pauses()
  #state: ServiceState = 'created'
  #failure: OutboxError | undefined
  #run: ConsumerRun<Context> | undefined
  #stopping: Promise<void> | undefined

  constructor(
    options: ResolvedCommonOptions,
    mode: Mode<Context>,
    handlers: Handlers<Context> = new Handlers<Context>(),
  ) {
    this.#options = options
    this.#mode = mode
    this.#handlers = handlers
    this.#report = new Reporter(options.name, options.group)
  }

  get name(): string {
    return this.#options.name
  }

  get state(): ServiceState {
    return this.#state
  }

  get counts(): ConsumerCounts {
    return this.#report.counts
  }

  get failure(): OutboxError | undefined {
    return this.#failure
  }

  async lag({ signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {}): Promise<
    readonly PartitionLag[]
  > {
    return (await this.#run?.lag(signal)) ?? []
  }

  pause(partitions?: readonly PartitionSelection[]): void {
    this.#setPaused(true, partitions)
  }

  resume(partitions?: readonly PartitionSelection[]): void {
    this.#setPaused(false, partitions)
  }

  on<Type extends EventTypeOf<Topics>>(
    type: Type,
    handler: Handler<Context, ConsumedEvent<Type, ConsumedPayload<Topics, Type>>>,
  ): void {
    this.#assertNotStarted()
    if (!this.#options.topics.definitions.some(({ events }) => Object.hasOwn(events, type)))
      throw invalid(`no topic of this consumer has events of type ${JSON.stringify(type)}`)
    // Kept under its type: the runtime hands it events of this type only, validated by the schema of this type.
    this.#handlers.set(type, handler)
  }

  onBatch(handler: BatchHandler<Context, AnyEventOf<Topics>>): void {
    this.#assertNotStarted()
    if (this.#options.keysInParallel > 1)
      throw invalid('onBatch() is handed events together, and keysInParallel has them run each alone')
    // It is given events of the topics of this consumer only, validated.
    this.#handlers.setForBatches(handler)
  }

  async start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state === 'running' || this.#state === 'starting')
      throw invalid(`the consumer is ${this.#state}`)
    if (this.#handlers.isEmpty)
      throw new OutboxError('CONSUMER_HANDLER_MISSING', `consumer ${this.name} has no handlers`)
    signal?.throwIfAborted()
    const stopped = this.#stopping
    this.#state = 'starting'
    this.#failure = undefined
    this.#stopping = undefined
    const run = new ConsumerRun(
      this.#options,
      this.#mode,
      this.#handlers,
      this.#report,
      this.#pauses,
      (error) => this.#fail(run, error),
    )
    // In place before the first await: a stop() or another start() that comes now finds this one.
    this.#run = run
    try {
      await stopped
      await run.start(signal)
      if (this.#state === 'starting') this.#state = 'running'
    } catch (error) {
      const isCurrent = this.#run === run // not when stop() was called, and perhaps start() again
      await this.#end(run, 0)
      if (isCurrent && this.#state === 'starting') this.#state = 'stopped'
      throw error
    }
  }

  stop({ timeoutMs = 30_000 }: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop(timeoutMs)
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #setPaused(isPaused: boolean, partitions: readonly PartitionSelection[] | undefined): void {
    const other = partitions?.find(({ topic }) => !this.#options.topics.has(topic))
    if (other !== undefined) throw invalid(`${JSON.stringify(other.topic)} is not a topic of this consumer`)
    this.#pauses.set(isPaused, partitions)
    this.#run?.obeyPauses()
  }

  #assertNotStarted(): void {
    if (this.#state === 'running' || this.#state === 'starting')
      throw invalid('handlers are registered before start()')
  }

  async #stop(timeoutMs: number): Promise<void> {
    const run = this.#run
    const hasFailed = this.#state === 'failed'
    if (!hasFailed) this.#state = 'stopping'
    if (run !== undefined) await this.#end(run, timeoutMs)
    if (!hasFailed) this.#state = 'stopped'
  }

  async #end(run: ConsumerRun<Context>, timeoutMs: number): Promise<void> {
    await run.stop(timeoutMs)
    if (this.#run === run) this.#run = undefined
  }

  /** The run has ended by itself: everything else of it is released too. */
  #fail(run: ConsumerRun<Context>, error: OutboxError): void {
    if (this.#run !== run || this.#state === 'stopping' || this.#state === 'stopped') return
    this.#state = 'failed'
    this.#failure = error
    this.#report.failed(error)
    this.#stopping = this.#end(run, 30_000)
  }
}

const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
