import type { AnyTopic, Backoff, Database, TransactionOptions } from '@oncebox/core'
import type { Compression, KafkaOptions } from '@oncebox/kafka'
import { ownDatabase } from './failing/own-database.js'
import type { DeadLetterOutbox } from './failing/dead-letter-topic.js'
import { resolveRetryRule, type RetryRule } from './failing/retry-rule.js'
import type {
  AssignedPartition,
  CommonOptions,
  DatabaseOptions,
  GroupOptions,
  KafkaModeOptions,
  ManualAckOptions,
  RedisModeOptions,
  RetryOptions,
  UnguardedOptions,
} from './options.js'
import type { ParkingRetry } from './parking/park-key.js'
import { resolveParking, type ResolvedParking } from './parking/resolved-parking.js'
import type { StartAt } from './positions/start-at.js'
import { invalid, named, oneOf, within } from './option-checks.js'
import { assertOfMode } from './mode-refusals.js'
import type { TopicsRetry } from './retrying/retry-topics.js'
import { resolveTiers, type Tiers } from './retrying/tiers.js'
import type { RedisDedup } from './redis/dedup.js'
import type { InboxFilter } from './redis/filter.js'
import type { RedeliveryHorizon } from './redis/window.js'
import { Subscription } from './subscription.js'

/** Events that are handled together unless something else is said. */
export const eventsTogetherMax = 500

/** Checked, with defaults, frozen. */
export interface ResolvedCommonOptions {
  readonly name: string
  readonly group: string
  /** Retry topics, too. */
  readonly topics: Subscription
  readonly kafka: KafkaOptions
  readonly startAt: StartAt
  readonly attemptsMax: number
  readonly backoff: Backoff
  readonly killsMax: number
  readonly retryRule: RetryRule
  /** Undefined: what fails for good becomes a dead letter. */
  readonly parking: ResolvedParking | undefined
  readonly tiers: Tiers | undefined
  readonly deadLetterTopic: string | undefined
  readonly concurrency: number
  readonly keysInParallel: number
  /** Undefined: as the mode and the handlers suggest. */
  readonly eventsTogetherMax: number | undefined
  readonly assign: readonly AssignedPartition[] | undefined
  readonly groupInstanceId: string | undefined
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

export interface ResolvedDatabaseOptions<Tx> extends ResolvedCommonOptions {
  readonly mode: 'inbox' | 'position'
  readonly db: Database<Tx>
  readonly outbox: DeadLetterOutbox | undefined
  readonly filter: InboxFilter | undefined
  readonly marks: { readonly windowMs: number; readonly intervalMs: number }
  readonly isolation: NonNullable<TransactionOptions['isolation']> | undefined
}

export interface ResolvedGroupOptions extends ResolvedCommonOptions {
  readonly mode: 'at-least-once' | 'at-most-once' | 'kafka' | 'redis'
  readonly exhausted: 'stop' | 'skip'
  readonly transactionTimeoutMs: number
  readonly compression: Compression
}

export interface ResolvedUnguardedOptions extends ResolvedGroupOptions {
  readonly ack: 'auto' | 'manual'
  readonly unacknowledgedMax: number
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
  const { mode, db, outbox, filter, isolation, marks = {} } = options
  const common = resolveCommonOptions(options, mode)
  if (common.deadLetterTopic !== undefined && outbox === undefined)
    throw invalid('deadLetterTopic needs an outbox: the copy is sent in the transaction of the dead letter')
  if (common.tiers !== undefined && outbox === undefined)
    throw invalid('retryTopics needs an outbox: an event is sent there in the transaction that passes it')
  if (options.marks !== undefined && mode !== 'inbox') throw invalid('marks belong to the mode inbox')
  if (filter !== undefined && mode !== 'inbox') throw invalid('a filter belongs to the mode inbox')
  if (filter !== undefined && common.keysInParallel > 1)
    throw invalid('keysInParallel and a filter: what the filter keeps away counts for the events behind it')
  // Marks of another consumer would keep events away that this one has never had.
  if (filter !== undefined && filter.consumer !== common.name)
    throw invalid(
      `filter is of consumer ${JSON.stringify(filter.consumer)}, and this is ${JSON.stringify(common.name)}: give both one name`,
    )
  return Object.freeze({
    ...common,
    mode,
    db: ownDatabase(db),
    outbox,
    filter,
    isolation,
    marks: {
      windowMs: within('marks.windowMs', marks.windowMs, 1_209_600_000, 3_600_000, 315_360_000_000),
      intervalMs: within('marks.intervalMs', marks.intervalMs, 60_000, 100, 3_600_000),
    },
  })
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveUnguardedOptions(
  options: UnguardedOptions<readonly AnyTopic[]> | ManualAckOptions<readonly AnyTopic[]>,
): ResolvedUnguardedOptions {
  const { mode } = options
  const resolved = resolveGroupOptions(options, mode)
  const ack = oneOf('ack', options.ack ?? 'auto', ['auto', 'manual'])
  if (ack === 'manual' && mode !== 'at-least-once')
    throw invalid(`ack: 'manual' is for the mode at-least-once: in ${mode} the offset is committed before`)
  if (ack === 'manual' && resolved.keysInParallel > 1)
    throw invalid(
      `keysInParallel and ack: 'manual': a handler that returns before its event is done holds up no other`,
    )
  const unacknowledgedMax = within(
    'unacknowledgedMax',
    'unacknowledgedMax' in options ? options.unacknowledgedMax : undefined,
    1_000,
    1,
    100_000,
  )
  return Object.freeze({ ...resolved, ack, unacknowledgedMax })
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
  assertOfMode(mode, 'retryTopics', common.tiers !== undefined)
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

type AnyRetry = Omit<RetryOptions, 'parking' | 'tiers'> &
  Partial<Pick<ParkingRetry, 'parking'>> &
  Partial<Pick<TopicsRetry, 'tiers'>>

function resolveCommonOptions(
  options: Omit<CommonOptions<readonly AnyTopic[]>, 'retry'> & { readonly retry?: AnyRetry | undefined },
  mode: string,
): ResolvedCommonOptions {
  const { retry = {}, fetch = {}, position = {}, batch = {}, lag = {} } = options
  const backoff = retry.backoff ?? { minMs: 200, maxMs: 10_000 }
  if (retry.parking !== undefined && retry.tiers !== undefined)
    throw invalid('parkKey keeps the order of a key, and retryTopics gives it up: take one of them')
  const name = named('name', options.name ?? options.group)
  const tiers = retry.tiers === undefined ? undefined : resolveTiers(retry.tiers, name, options)
  const retryTopics = [...(tiers?.all ?? [])].map(({ topic, origin }) => ({ ...origin, name: topic }))
  const sessionTimeoutMs = within('sessionTimeoutMs', options.sessionTimeoutMs, 30_000, 1_000, 3_600_000)
  const resolved: ResolvedCommonOptions = {
    name,
    group: named('group', options.group),
    topics: new Subscription([...options.topics, ...retryTopics]),
    kafka: options.kafka,
    startAt: oneOf('startAt', options.startAt ?? 'earliest', ['earliest', 'latest']),
    attemptsMax: within('retry.attemptsMax', retry.attemptsMax, 5, 1, 1_000),
    backoff: {
      minMs: within('retry.backoff.minMs', backoff.minMs, 200, 1, 3_600_000),
      maxMs: within('retry.backoff.maxMs', backoff.maxMs, 10_000, 1, 3_600_000),
    },
    killsMax: within('retry.killsMax', retry.killsMax, 3, 1, 100),
    retryRule: resolveRetryRule(retry),
    parking: retry.parking === undefined ? undefined : resolveParking(retry.parking),
    tiers,
    deadLetterTopic: options.deadLetterTopic,
    concurrency: within('concurrency', options.concurrency, 4, 1, 256),
    keysInParallel: within('keysInParallel', options.keysInParallel, 1, 1, 256),
    eventsTogetherMax:
      batch.eventsMax === undefined
        ? undefined
        : within('batch.eventsMax', batch.eventsMax, eventsTogetherMax, 1, 10_000),
    assign: options.assign,
    groupInstanceId:
      options.groupInstanceId === undefined ? undefined : named('groupInstanceId', options.groupInstanceId),
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
  if (options.topics.length === 0) throw invalid('topics is empty')
  assertOfMode(mode, 'retry.killsMax', retry.killsMax !== undefined)
  assertOfMode(mode, 'batch.eventsMax', (resolved.eventsTogetherMax ?? 1) > 1)
  assertOfMode(mode, 'keysInParallel', resolved.keysInParallel > 1)
  if (resolved.keysInParallel > 1) {
    if ((resolved.eventsTogetherMax ?? 1) > 1)
      throw invalid('keysInParallel and batch.eventsMax: events run at once each alone, or together')
  }
  if (resolved.assign !== undefined) assertAssignable(resolved.assign, resolved)
  const { names, patterns } = resolved.topics
  if (names.length + patterns.length !== options.topics.length + retryTopics.length)
    throw invalid('topics names a topic twice')
  if (resolved.kafka.brokers.length === 0) throw invalid('kafka.brokers is empty')
  if (resolved.deadLetterTopic !== undefined && resolved.topics.has(resolved.deadLetterTopic))
    throw invalid('deadLetterTopic is one of the topics that are consumed')
  return resolved
}

function assertAssignable(
  assign: readonly AssignedPartition[],
  { topics, groupInstanceId }: Pick<ResolvedCommonOptions, 'topics' | 'groupInstanceId'>,
): void {
  if (assign.length === 0) throw invalid('assign is empty')
  if (groupInstanceId !== undefined)
    throw invalid('assign and groupInstanceId: with given partitions this is no member of its group')
  const names = new Set<string>()
  for (const { topic, partition, offset = '0' } of assign) {
    if (!topics.has(topic)) throw invalid(`assign names ${JSON.stringify(topic)}, which is not in topics`)
    within('partition of assign', partition, 0, 0, 2_147_483_647)
    if (!/^\d{1,18}$/.test(offset))
      throw invalid(`offset of assign is ${JSON.stringify(offset)}: decimal, 0 or more`)
    const name = `${topic}-${partition}`
    if (names.has(name)) throw invalid(`assign names ${name} twice`)
    names.add(name)
  }
}
