import {
  OutboxError,
  type AnyTopic,
  type Backoff,
  type Database,
  type TransactionOptions,
} from '@oncebox/core'
import type { KafkaOptions } from '@oncebox/kafka'
import type { DeadLetterOutbox } from './dead-letter-topic.js'

export interface RetryOptions {
  /** Attempts of an event before it becomes a dead letter. Default 5. */
  readonly attemptsMax?: number
  /** Waits between attempts: doubled each time, half of it jitter. Default 200 ms to 10 s. */
  readonly backoff?: Backoff
  /** How often a process may end while it handles an event alone, before the event becomes a dead letter. Default 3. */
  readonly killsMax?: number
}

export interface ConsumerOptions<Tx, Topics extends readonly AnyTopic[]> {
  /** The key of dedup marks and positions. Outlives a change of `group`. Default: `group`. */
  readonly name?: string
  /** The Kafka consumer group. */
  readonly group: string
  readonly topics: Topics
  /** Where effects, dedup marks and positions are kept: fromPg(pool) or fromKnex(knex). Decides the type of `tx`. */
  readonly db: Database<Tx>
  /** Where Kafka is; TLS and SASL as in kafkajs. */
  readonly kafka: KafkaOptions
  /** The guarantee: `inbox` commits a dedup mark with the effect, once per event. */
  readonly mode: 'inbox'
  readonly retry?: RetryOptions
  /** Copies of dead letters for others to see, sent through `outbox`. The dead letters themselves are in the table. */
  readonly deadLetterTopic?: string
  /** The outbox in `db` through which the copies go, in the transaction of the dead letter. */
  readonly outbox?: DeadLetterOutbox
  /** Partitions handled in parallel. Each uses one database connection. Default 4. */
  readonly concurrency?: number
  /** Of the handler's transaction. Serialization failures are run again and count as no attempt. Default: the server's. */
  readonly isolation?: NonNullable<TransactionOptions['isolation']>
  /** A member that is not heard of for so long loses its partitions. Default 30,000. */
  readonly sessionTimeoutMs?: number
  /** Default 3,000. */
  readonly heartbeatIntervalMs?: number
  /** How long a rebalance waits for handlers to finish; after half of it their signal is aborted. Default 60,000. */
  readonly rebalanceTimeoutMs?: number
  readonly fetch?: {
    /** Bytes of one fetch. Default 10 MiB. */
    readonly bytesMax?: number
    /** Bytes of one partition in a fetch. Default 1 MiB. */
    readonly partitionBytesMax?: number
    /** How long the broker waits for something to send. Default 250. */
    readonly waitMsMax?: number
  }
  /** The position is written after each fetched batch, and inside a batch after so many events or milliseconds. Default 500 and 1,000. */
  readonly position?: { readonly eventsMax?: number; readonly intervalMs?: number }
}

/** Checked, with defaults, frozen. */
export interface ResolvedConsumerOptions<Tx> {
  readonly name: string
  readonly group: string
  readonly topics: ReadonlyMap<string, AnyTopic>
  readonly db: Database<Tx>
  readonly kafka: KafkaOptions
  readonly attemptsMax: number
  readonly backoff: Backoff
  readonly killsMax: number
  readonly deadLetterTopic: string | undefined
  readonly outbox: DeadLetterOutbox | undefined
  readonly concurrency: number
  readonly isolation: NonNullable<TransactionOptions['isolation']> | undefined
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly fetch: {
    readonly bytesMax: number
    readonly partitionBytesMax: number
    readonly waitMsMax: number
  }
  readonly position: { readonly eventsMax: number; readonly intervalMs: number }
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveConsumerOptions<Tx>(
  options: ConsumerOptions<Tx, readonly AnyTopic[]>,
): ResolvedConsumerOptions<Tx> {
  const { retry = {}, fetch = {}, position = {} } = options
  const backoff = retry.backoff ?? { minMs: 200, maxMs: 10_000 }
  const sessionTimeoutMs = within('sessionTimeoutMs', options.sessionTimeoutMs, 30_000, 1_000, 3_600_000)
  const resolved: ResolvedConsumerOptions<Tx> = {
    name: named('name', options.name ?? options.group),
    group: named('group', options.group),
    topics: new Map(options.topics.map((topic) => [topic.name, topic])),
    db: options.db,
    kafka: options.kafka,
    attemptsMax: within('retry.attemptsMax', retry.attemptsMax, 5, 1, 1_000),
    backoff: {
      minMs: within('retry.backoff.minMs', backoff.minMs, 200, 1, 3_600_000),
      maxMs: within('retry.backoff.maxMs', backoff.maxMs, 10_000, 1, 3_600_000),
    },
    killsMax: within('retry.killsMax', retry.killsMax, 3, 1, 100),
    deadLetterTopic: options.deadLetterTopic,
    outbox: options.outbox,
    concurrency: within('concurrency', options.concurrency, 4, 1, 256),
    isolation: options.isolation,
    sessionTimeoutMs,
    heartbeatIntervalMs: within(
      'heartbeatIntervalMs',
      options.heartbeatIntervalMs,
      Math.min(3_000, Math.floor(sessionTimeoutMs / 3)),
      50,
      sessionTimeoutMs / 2,
    ),
    rebalanceTimeoutMs: within('rebalanceTimeoutMs', options.rebalanceTimeoutMs, 60_000, 1_000, 3_600_000),
    fetch: {
      bytesMax: within('fetch.bytesMax', fetch.bytesMax, 10_485_760, 1_024, 1_073_741_824),
      partitionBytesMax: within(
        'fetch.partitionBytesMax',
        fetch.partitionBytesMax,
        1_048_576,
        1_024,
        1_073_741_824,
      ),
      waitMsMax: within('fetch.waitMsMax', fetch.waitMsMax, 250, 10, 10_000),
    },
    position: {
      eventsMax: within('position.eventsMax', position.eventsMax, 500, 1, 1_000_000),
      intervalMs: within('position.intervalMs', position.intervalMs, 1_000, 1, 3_600_000),
    },
  }
  check(resolved, options)
  return Object.freeze(resolved)
}

function check<Tx>(
  resolved: ResolvedConsumerOptions<Tx>,
  options: ConsumerOptions<Tx, readonly AnyTopic[]>,
): void {
  if (options.mode !== 'inbox')
    throw invalid(`mode is ${JSON.stringify(options.mode)}: the one there is today is 'inbox'`)
  if (resolved.topics.size === 0) throw invalid('topics is empty')
  if (resolved.topics.size !== options.topics.length) throw invalid('topics names a topic twice')
  if (resolved.kafka.brokers.length === 0) throw invalid('kafka.brokers is empty')
  if (resolved.deadLetterTopic !== undefined && resolved.outbox === undefined) {
    throw invalid('deadLetterTopic needs an outbox: the copy is sent in the transaction of the dead letter')
  }
  if (resolved.deadLetterTopic !== undefined && resolved.topics.has(resolved.deadLetterTopic)) {
    throw invalid('deadLetterTopic is one of the topics that are consumed')
  }
}

function within(
  name: string,
  value: number | undefined,
  byDefault: number,
  min: number,
  max: number,
): number {
  const number = value ?? byDefault
  if (!Number.isInteger(number) || number < min || number > max)
    throw invalid(`${name} is ${number}: a whole number from ${min} to ${max}`)
  return number
}

function named(option: string, value: string): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 255)
    throw invalid(`${option} is 1 to 255 characters`)
  return value
}

const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
