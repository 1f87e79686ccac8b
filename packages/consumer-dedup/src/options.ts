import {
  OutboxError,
  type AnyTopic,
  type Backoff,
  type Database,
  type TransactionOptions,
} from '@oncebox/core'
import type { Compression, KafkaOptions } from '@oncebox/kafka'
import type { DeadLetterOutbox } from './failing/dead-letter-topic.js'
import type { RedisDedup } from './redis/dedup.js'
import type { InboxFilter } from './redis/filter.js'
import type { RedeliveryHorizon } from './redis/window.js'
import type { ParkingRetry, ParkKeyOptions } from './parking/park-key.js'
import type { StartAt } from './positions/group-position.js'

/** Events that are handled together unless something else is said. */
export const eventsTogetherMax = 500

export interface RetryOptions {
  /** Attempts of an event before it becomes a dead letter. Default 5. */
  readonly attemptsMax?: number
  /** Waits between attempts: doubled each time, half of it jitter. Default 200 ms to 10 s. */
  readonly backoff?: Backoff
  /** How often a process may end while it handles an event alone, before the event becomes a dead letter. Default 3. */
  readonly killsMax?: number
  /** See {@link parkKey}. */
  readonly parking?: never
}

/** What all modes take. */
export interface CommonOptions<Topics extends readonly AnyTopic[]> {
  /** The key of dedup marks, positions and transactional ids. Outlives a change of `group`. Default: `group`. */
  readonly name?: string
  /** The Kafka consumer group. */
  readonly group: string
  readonly topics: Topics
  /** Where Kafka is; TLS and SASL as in kafkajs. */
  readonly kafka: KafkaOptions
  /** Where a consumer begins that has no position yet: with what is still there, or with what comes. Default `earliest`. */
  readonly startAt?: StartAt
  readonly retry?: RetryOptions
  /** Copies of dead letters for others to see. */
  readonly deadLetterTopic?: string
  /** Partitions handled in parallel. Default 4. */
  readonly concurrency?: number
  /**
   * Events of one partition with different keys that are handled at once, each alone; those of one key in order. Default 1. In
   * the modes `inbox` without a filter, `redis` and `at-least-once`, with handlers of single events.
   */
  readonly keysInParallel?: number
  readonly batch?: {
    /**
     * Events that are handled in one step: one transaction, or one call of a batch handler. They succeed together; when
     * one fails, they are handled one by one. Default 500; without a batch handler 1 in the modes `inbox`, `at-least-once` and `at-most-once`.
     */
    readonly eventsMax?: number
  }
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
  /** How far partitions are behind is looked at every `intervalMs`; default 5,000. A listener hears when one has `warnAt` events or more to go. */
  readonly lag?: { readonly warnAt?: number; readonly intervalMs?: number }
  /** The position is written after each fetched batch, and inside a batch after so many events or milliseconds. Default 500 and 1,000. */
  readonly position?: { readonly eventsMax?: number; readonly intervalMs?: number }
}

/** The modes whose effects are in a database: once per event. */
export interface DatabaseOptions<Tx, Topics extends readonly AnyTopic[]> extends Omit<
  CommonOptions<Topics>,
  'retry'
> {
  /**
   * The guarantee. `inbox`: a dedup mark is committed with the effect, once per event id. `position`: the position is
   * moved with the effects, one row per batch; once per offset.
   */
  readonly mode: 'inbox' | 'position'
  /** Where effects, dedup marks and positions are kept: fromPg(pool) or fromKnex(knex). Decides the type of `tx`. */
  readonly db: Database<Tx>
  /** In place, or with {@link parkKey} after that in the queue of the event's key. */
  readonly retry?: RetryOptions | ParkingRetry
  /** The outbox in `db` through which copies of dead letters go, in the transaction of the dead letter. */
  readonly outbox?: DeadLetterOutbox
  /** In `inbox` mode: keeps most duplicates away from the database. redisFilter() of this consumer's name. */
  readonly filter?: InboxFilter
  /** Of the handler's transaction. Serialization failures are run again and count as no attempt. Default: the server's. */
  readonly isolation?: NonNullable<TransactionOptions['isolation']>
}

/** What the modes without a database take. */
export interface GroupOptions<Topics extends readonly AnyTopic[]> extends CommonOptions<Topics> {
  /** What becomes of an event that cannot be handled, where there is no `deadLetterTopic`. Default `stop`: of the consumer; in `at-most-once`, where it is gone whatever happens, `skip`. */
  readonly exhausted?: 'stop' | 'skip'
  /** Of the transactions that write dead letters and, in `kafka` mode, everything else. Default 30,000. */
  readonly transactionTimeoutMs?: number
  /** Of what is written. Default: none. */
  readonly compression?: Compression
}

/** The modes whose effects nothing guards. */
export interface UnguardedOptions<Topics extends readonly AnyTopic[]> extends GroupOptions<Topics> {
  /** When the offset is committed: after the handler, or before it. */
  readonly mode: 'at-least-once' | 'at-most-once'
}

/** The mode whose effects are records in Kafka: read, process and write in one Kafka transaction. */
export interface KafkaModeOptions<
  Topics extends readonly AnyTopic[],
  Outputs extends readonly AnyTopic[],
> extends GroupOptions<Topics> {
  readonly mode: 'kafka'
  /** The topics to which handlers send. */
  readonly outputs: Outputs
  /** Identifies this service in the envelope of what it sends. */
  readonly source: string
}

/** The mode whose effects are in Redis: commands that take effect with the mark of their event. */
export interface RedisModeOptions<Topics extends readonly AnyTopic[]> extends GroupOptions<Topics> {
  readonly mode: 'redis'
  /** Where effects and marks are: createRedisDedup() of this consumer's name. */
  readonly dedup: RedisDedup
  /**
   * How long an event can be delivered again, which `dedup` must remember it for. Default: read from the topics, which
   * needs DESCRIBE_CONFIGS on them.
   */
  readonly redelivery?: RedeliveryHorizon
}

/** Checked, with defaults, frozen. */
export interface ResolvedCommonOptions {
  readonly name: string
  readonly group: string
  readonly topics: ReadonlyMap<string, AnyTopic>
  readonly kafka: KafkaOptions
  readonly startAt: StartAt
  readonly attemptsMax: number
  readonly backoff: Backoff
  readonly killsMax: number
  /** Undefined: what fails for good becomes a dead letter. */
  readonly parking: ResolvedParking | undefined
  readonly deadLetterTopic: string | undefined
  readonly concurrency: number
  readonly keysInParallel: number
  /** Undefined: as the mode and the handlers suggest. */
  readonly eventsTogetherMax: number | undefined
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly fetch: {
    readonly bytesMax: number
    readonly partitionBytesMax: number
    readonly waitMsMax: number
  }
  readonly position: { readonly eventsMax: number; readonly intervalMs: number }
  readonly lag: { readonly warnAt: number; readonly intervalMs: number }
}

export interface ResolvedParking {
  readonly delaysMs: readonly number[]
  readonly attemptsMax: number
  readonly jitter: number
  readonly concurrency: number
  readonly keysMax: number
  readonly eventsMax: number
}

export interface ResolvedDatabaseOptions<Tx> extends ResolvedCommonOptions {
  readonly mode: 'inbox' | 'position'
  readonly db: Database<Tx>
  readonly outbox: DeadLetterOutbox | undefined
  readonly filter: InboxFilter | undefined
  readonly isolation: NonNullable<TransactionOptions['isolation']> | undefined
}

export interface ResolvedGroupOptions extends ResolvedCommonOptions {
  readonly mode: 'at-least-once' | 'at-most-once' | 'kafka' | 'redis'
  readonly exhausted: 'stop' | 'skip'
  readonly transactionTimeoutMs: number
  readonly compression: Compression
}

export interface ResolvedRedisModeOptions extends ResolvedGroupOptions {
  readonly dedup: RedisDedup
  readonly redelivery: RedeliveryHorizon | undefined
}

export interface ResolvedKafkaModeOptions extends ResolvedGroupOptions {
  readonly source: string
  /** By event type. */
  readonly outputs: ReadonlyMap<string, AnyTopic>
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveDatabaseOptions<Tx>(
  options: DatabaseOptions<Tx, readonly AnyTopic[]>,
): ResolvedDatabaseOptions<Tx> {
  const { mode, db, outbox, filter, isolation } = options
  const common = resolveCommonOptions(options, mode)
  if (common.deadLetterTopic !== undefined && outbox === undefined)
    throw invalid('deadLetterTopic needs an outbox: the copy is sent in the transaction of the dead letter')
  if (filter !== undefined && mode !== 'inbox') throw invalid('a filter belongs to the mode inbox')
  if (filter !== undefined && common.keysInParallel > 1)
    throw invalid('keysInParallel and a filter: what the filter keeps away counts for the events behind it')
  // Marks of another consumer would keep events away that this one has never had.
  if (filter !== undefined && filter.consumer !== common.name)
    throw invalid(
      `filter is of consumer ${JSON.stringify(filter.consumer)}, and this is ${JSON.stringify(common.name)}: give both one name`,
    )
  return Object.freeze({ ...common, mode, db, outbox, filter, isolation })
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveUnguardedOptions(
  options: UnguardedOptions<readonly AnyTopic[]>,
): ResolvedGroupOptions {
  return Object.freeze(resolveGroupOptions(options, options.mode))
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveKafkaModeOptions(
  options: KafkaModeOptions<readonly AnyTopic[], readonly AnyTopic[]>,
): ResolvedKafkaModeOptions {
  const { outputs, source } = options
  const byType = new Map<string, AnyTopic>()
  for (const topic of outputs)
    for (const type of Object.keys(topic.events)) {
      if (byType.has(type)) throw invalid(`two topics of outputs have events of type ${JSON.stringify(type)}`)
      byType.set(type, topic)
    }
  return Object.freeze({
    ...resolveGroupOptions(options, 'kafka'),
    source: named('source', source),
    outputs: byType,
  })
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveRedisModeOptions(
  options: RedisModeOptions<readonly AnyTopic[]>,
): ResolvedRedisModeOptions {
  const { dedup, redelivery } = options
  const resolved = resolveGroupOptions(options, 'redis')
  // Two consumers that share their marks would each take the other's events for done.
  if (dedup.consumer !== resolved.name)
    throw invalid(
      `dedup is of consumer ${JSON.stringify(dedup.consumer)}, and this is ${JSON.stringify(resolved.name)}: give both one name`,
    )
  return Object.freeze({ ...resolved, dedup, redelivery })
}

function resolveGroupOptions(
  options: GroupOptions<readonly AnyTopic[]>,
  mode: ResolvedGroupOptions['mode'],
): ResolvedGroupOptions {
  const common = resolveCommonOptions(options, mode)
  if (common.parking !== undefined)
    throw invalid(`parkKey needs a database, in which events wait: mode ${mode} has none`)
  return {
    ...common,
    mode,
    exhausted: oneOf('exhausted', options.exhausted ?? (mode === 'at-most-once' ? 'skip' : 'stop'), [
      'stop',
      'skip',
    ]),
    transactionTimeoutMs: within(
      'transactionTimeoutMs',
      options.transactionTimeoutMs,
      30_000,
      1_000,
      900_000,
    ),
    compression: options.compression ?? 'none',
  }
}

/** Why events of a partition cannot be handled at once. */
const oneAfterTheOther: Readonly<Record<string, string>> = {
  position: 'the position moves in the transaction of each event',
  kafka: 'the offset moves in the transaction of each event',
  'at-most-once': 'the offset is committed before the events',
}

type AnyRetry = Omit<RetryOptions, 'parking'> & Partial<Pick<ParkingRetry, 'parking'>>

function resolveCommonOptions(
  options: Omit<CommonOptions<readonly AnyTopic[]>, 'retry'> & { readonly retry?: AnyRetry | undefined },
  mode: string,
): ResolvedCommonOptions {
  const { retry = {}, fetch = {}, position = {}, batch = {}, lag = {} } = options
  const backoff = retry.backoff ?? { minMs: 200, maxMs: 10_000 }
  const sessionTimeoutMs = within('sessionTimeoutMs', options.sessionTimeoutMs, 30_000, 1_000, 3_600_000)
  const resolved: ResolvedCommonOptions = {
    name: named('name', options.name ?? options.group),
    group: named('group', options.group),
    topics: new Map(options.topics.map((topic) => [topic.name, topic])),
    kafka: options.kafka,
    startAt: oneOf('startAt', options.startAt ?? 'earliest', ['earliest', 'latest']),
    attemptsMax: within('retry.attemptsMax', retry.attemptsMax, 5, 1, 1_000),
    backoff: {
      minMs: within('retry.backoff.minMs', backoff.minMs, 200, 1, 3_600_000),
      maxMs: within('retry.backoff.maxMs', backoff.maxMs, 10_000, 1, 3_600_000),
    },
    killsMax: within('retry.killsMax', retry.killsMax, 3, 1, 100),
    parking: retry.parking === undefined ? undefined : resolveParking(retry.parking),
    deadLetterTopic: options.deadLetterTopic,
    concurrency: within('concurrency', options.concurrency, 4, 1, 256),
    keysInParallel: within('keysInParallel', options.keysInParallel, 1, 1, 256),
    eventsTogetherMax:
      batch.eventsMax === undefined
        ? undefined
        : within('batch.eventsMax', batch.eventsMax, eventsTogetherMax, 1, 10_000),
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
    lag: {
      warnAt:
        lag.warnAt === undefined ? Infinity : within('lag.warnAt', lag.warnAt, 1, 1, Number.MAX_SAFE_INTEGER),
      intervalMs: within('lag.intervalMs', lag.intervalMs, 5_000, 100, 3_600_000),
    },
  }
  if (resolved.topics.size === 0) throw invalid('topics is empty')
  if (resolved.keysInParallel > 1) {
    const why = oneAfterTheOther[mode]
    if (why !== undefined) throw invalid(`keysInParallel is not for mode ${mode}: ${why}`)
    if ((resolved.eventsTogetherMax ?? 1) > 1)
      throw invalid('keysInParallel and batch.eventsMax: events run at once each alone, or together')
  }
  if (resolved.topics.size !== options.topics.length) throw invalid('topics names a topic twice')
  if (resolved.kafka.brokers.length === 0) throw invalid('kafka.brokers is empty')
  if (resolved.deadLetterTopic !== undefined && resolved.topics.has(resolved.deadLetterTopic))
    throw invalid('deadLetterTopic is one of the topics that are consumed')
  return resolved
}

function resolveParking({ delaysMs, ...parking }: ParkKeyOptions): ResolvedParking {
  if (delaysMs.length === 0) throw invalid('delaysMs of parkKey is empty')
  const jitter = parking.jitter ?? 0.2
  if (!(jitter >= 0 && jitter <= 1)) throw invalid(`jitter of parkKey is ${jitter}: from 0 to 1`)
  return {
    delaysMs: delaysMs.map((delayMs) => within('delaysMs of parkKey', delayMs, 0, 0, 604_800_000)),
    attemptsMax: within('attemptsMax of parkKey', parking.attemptsMax, delaysMs.length, 1, 1_000),
    jitter,
    concurrency: within('concurrency of parkKey', parking.concurrency, 4, 1, 256),
    keysMax: within('keysMax of parkKey', parking.keysMax, 10_000, 1, 1_000_000),
    eventsMax: within('eventsMax of parkKey', parking.eventsMax, 100_000, 1, 10_000_000),
  }
}

function oneOf<Value extends string>(name: string, value: Value, values: readonly Value[]): Value {
  if (!values.includes(value))
    throw invalid(`${name} is ${JSON.stringify(value)}: one of ${values.join(', ')}`)
  return value
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
