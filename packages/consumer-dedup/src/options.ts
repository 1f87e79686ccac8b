import type { AnyTopic, Backoff, Database, TransactionOptions } from '@oncebox/core'
import type { Compression, KafkaOptions } from '@oncebox/kafka'
import type { DeadLetterOutbox } from './failing/dead-letter-topic.js'
import type { ErrorMatch } from './failing/retry-rule.js'
import type { RedisDedup } from './redis/dedup.js'
import type { InboxFilter } from './redis/filter.js'
import type { RedeliveryHorizon } from './redis/window.js'
import type { ParkingRetry } from './parking/park-key.js'
import type { StartAt } from './positions/start-at.js'
import type { TopicsRetry } from './retrying/retry-topics.js'

export interface RetryOptions {
  /** Attempts of an event before it becomes a dead letter. Default 5. */
  readonly attemptsMax?: number
  /** Waits between attempts: doubled each time, half of it jitter. Default 200 ms to 10 s. */
  readonly backoff?: Backoff
  /** How often a process may end while it handles an event alone, before the event becomes a dead letter. Default 3. Refused in the modes without a database, in which nobody knows. */
  readonly killsMax?: number
  /** Only what is one of these, or has one as a cause, is tried again; an event whose handler throws anything else is given up at once. */
  readonly include?: readonly ErrorMatch[]
  /** What is one of these, or has one as a cause, is not tried again: its event is given up at once. Wins over `include`. */
  readonly exclude?: readonly ErrorMatch[]
  /** See {@link parkKey}. */
  readonly parking?: never
  /** See {@link retryTopics}. */
  readonly tiers?: never
}

/** A partition that is given to a consumer. */
export interface AssignedPartition {
  /** One of the consumer's topics. */
  readonly topic: string
  readonly partition: number
  /** Where it begins when it has no position yet; decimal. Default: as `startAt` says. */
  readonly offset?: string
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
     * one fails, they are handled one by one. Default 500; without a batch handler 1 in the modes `inbox` and `at-least-once`; always 1 in `redis` and `at-most-once`, in which more is refused.
     */
    readonly eventsMax?: number
  }
  /**
   * Partitions that this process has for good, in place of its share of the group's: nobody takes over, so each belongs to one
   * process. In modes without a database their offsets are committed for `group`, which must have no members.
   */
  readonly assign?: readonly AssignedPartition[]
  /**
   * Makes this process a static member (KIP-345): stopped and started again within `sessionTimeoutMs`, it finds its partitions, and
   * nobody rebalances; they wait for it as long. One process at a time: of two with the same id the older ends, with
   * KAFKA_GROUP_REFUSED. Default: none.
   */
  readonly groupInstanceId?: string
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
  /** In place, after that with {@link parkKey} in the queue of the event's key, or with {@link retryTopics} in topics of their own. */
  readonly retry?: RetryOptions | ParkingRetry | TopicsRetry
  /** The outbox in `db` through which copies go, of dead letters and to retry topics, in the transaction of the event. */
  readonly outbox?: DeadLetterOutbox
  /**
   * In `inbox` mode. `windowMs`: for how long, in the time of events, done ones are remembered; default 14 days. An event that
   * comes again later than that is a dead letter. `intervalMs`: how often the table of marks is looked after; default 60,000.
   */
  readonly marks?: { readonly windowMs?: number; readonly intervalMs?: number }
  /** In `inbox` mode: keeps most duplicates away from the database. redisFilter() of this consumer's name. */
  readonly filter?: InboxFilter
  /** Of the handler's transaction. Serialization failures are run again and count as no attempt. Default: the server's. */
  readonly isolation?: NonNullable<TransactionOptions['isolation']>
}

/** What the modes without a database take. */
export interface GroupOptions<Topics extends readonly AnyTopic[]> extends Omit<
  CommonOptions<Topics>,
  'retry'
> {
  /** In place, or with {@link retryTopics} after that in topics of their own: in the modes `kafka` and `at-least-once`. */
  readonly retry?: RetryOptions | TopicsRetry
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
  /** What acknowledges an event: its handler, when it returns. */
  readonly ack?: 'auto'
}

/** The mode `at-least-once`, for handlers that hand events to somebody else, and hear later that they are done. */
export interface ManualAckOptions<Topics extends readonly AnyTopic[]> extends GroupOptions<Topics> {
  readonly mode: 'at-least-once'
  /** Events are acknowledged by `ack()` of the handler's context. What becomes a dead letter is done. */
  readonly ack: 'manual'
  /** Events of a partition that are handed out and not acknowledged; then no other is begun. Default 1,000; 1 to 100,000. */
  readonly unacknowledgedMax?: number
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
  /** In place. The mark is in Redis and a retry topic in Kafka: nothing makes both happen, or neither. */
  readonly retry?: RetryOptions
  /** Where effects and marks are: createRedisDedup() of this consumer's name. */
  readonly dedup: RedisDedup
  /**
   * How long an event can be delivered again, which `dedup` must remember it for. Default: read from the topics, which
   * needs DESCRIBE_CONFIGS on them.
   */
  readonly redelivery?: RedeliveryHorizon
}
