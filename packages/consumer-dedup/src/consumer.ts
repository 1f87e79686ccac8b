import { OutboxError, type AnyTopic, type Service, type ServiceState } from '@oncebox/core'
import { startTracing } from '@oncebox/telemetry'
import { ConsumerRun } from './consumer-run.js'
import type { AnyHandler, ConsumedEvent, ConsumedPayload, EventTypeOf, InboxHandler } from './event.js'
import { resolveConsumerOptions, type ConsumerOptions, type ResolvedConsumerOptions } from './options.js'
import { replayDeadLetter, type ReplayResult } from './replay.js'
import { Reporter, type ConsumerCounts } from './report.js'

/** A consumer whose effects happen once per event. Made by {@link createConsumer}. */
export interface Consumer<Tx, Topics extends readonly AnyTopic[]> extends Service {
  readonly name: string
  /** What happened since the consumer was created. */
  readonly counts: ConsumerCounts
  /** Why the consumer stopped by itself; undefined unless `state` is `failed`. */
  readonly failure: OutboxError | undefined
  /**
   * Registers the handler of an event type, before start(). Types without a handler are skipped and counted.
   * @throws OutboxError CONSUMER_OPTIONS_INVALID when the type has a handler, or no topic has the type
   */
  on<Type extends EventTypeOf<Topics>>(
    type: Type,
    handler: InboxHandler<Tx, ConsumedEvent<Type, ConsumedPayload<Topics, Type>>>,
  ): void
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
 * A consumer in `inbox` mode: the dedup mark, the effect and follow-up events are one database transaction.
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
  options: ConsumerOptions<Tx, Topics>,
): Consumer<Tx, Topics> {
  const resolved = resolveConsumerOptions(options)
  startTracing()
  return new InboxConsumer<Tx, Topics>(resolved)
}

class InboxConsumer<Tx, Topics extends readonly AnyTopic[]> implements Consumer<Tx, Topics> {
  readonly #options: ResolvedConsumerOptions<Tx>
  readonly #handlers = new Map<string, AnyHandler<Tx>>()
  readonly #report: Reporter
  #state: ServiceState = 'created'
  #failure: OutboxError | undefined
  #run: ConsumerRun<Tx> | undefined
  #stopping: Promise<void> | undefined

  constructor(options: ResolvedConsumerOptions<Tx>) {
    this.#options = options
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

  on<Type extends EventTypeOf<Topics>>(
    type: Type,
    handler: InboxHandler<Tx, ConsumedEvent<Type, ConsumedPayload<Topics, Type>>>,
  ): void {
    if (this.#state === 'running' || this.#state === 'starting')
      throw invalid('handlers are registered before start()')
    if (this.#handlers.has(type)) throw invalid(`${JSON.stringify(type)} has a handler already`)
    if (![...this.#options.topics.values()].some(({ events }) => Object.hasOwn(events, type)))
      throw invalid(`no topic of this consumer has events of type ${JSON.stringify(type)}`)
    // Kept under its type: the runtime hands it events of this type only, validated by the schema of this type.
    this.#handlers.set(type, handler)
  }

  async start({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (this.#state === 'running' || this.#state === 'starting')
      throw invalid(`the consumer is ${this.#state}`)
    if (this.#handlers.size === 0)
      throw new OutboxError('CONSUMER_HANDLER_MISSING', `consumer ${this.name} has no handlers`)
    signal?.throwIfAborted()
    const stopped = this.#stopping
    this.#state = 'starting'
    this.#failure = undefined
    this.#stopping = undefined
    const run = new ConsumerRun(this.#options, this.#handlers, this.#report, (error) =>
      this.#fail(run, error),
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
      results.push(await replayDeadLetter(this.#options, this.#handlers, id, signal))
    }
    return results
  }

  async #stop(timeoutMs: number): Promise<void> {
    const run = this.#run
    const hasFailed = this.#state === 'failed'
    if (!hasFailed) this.#state = 'stopping'
    if (run !== undefined) await this.#end(run, timeoutMs)
    if (!hasFailed) this.#state = 'stopped'
  }

  async #end(run: ConsumerRun<Tx>, timeoutMs: number): Promise<void> {
    await run.stop(timeoutMs)
    if (this.#run === run) this.#run = undefined
  }

  /** The run has ended by itself: everything else of it is released too. */
  #fail(run: ConsumerRun<Tx>, error: OutboxError): void {
    if (this.#run !== run || this.#state === 'stopping' || this.#state === 'stopped') return
    this.#state = 'failed'
    this.#failure = error
    this.#report.failed(error)
    this.#stopping = this.#end(run, 30_000)
  }
}

const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
