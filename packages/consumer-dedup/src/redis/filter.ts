import { createHash } from 'node:crypto'
import { channels, OutboxError } from '@oncebox/core'
import { KeyNames, type EventKey } from './names.js'
import { assertNoKeyPrefix, msMax, within as between } from './options.js'
import { within, type RedisClient } from './script.js'

export interface RedisFilterOptions {
  /** An ioredis client that is yours: it is neither connected nor closed here. Without keyPrefix. */
  readonly redis: RedisClient
  /** The name of the consumer, as its dedup marks have it. */
  readonly consumer: string
  /** How long a done event is remembered here. Shorter costs only speed: the database decides. */
  readonly retentionMs: number
  /** The hash tag of all keys, in place of one made from `consumer`. */
  readonly hashTag?: string
  /** How long an answer is waited for; without one, the database is asked. Default 100. */
  readonly timeoutMs?: number
  /** For how long Redis is left alone after it has not answered. Default 1,000. */
  readonly pauseMs?: number
}

export interface FilterCounts {
  /** Events of which the database need not be asked. */
  readonly known: number
  /** Events of which it must be. */
  readonly unknown: number
  /** Times that Redis did not answer. */
  readonly failed: number
}

/**
 * In front of dedup marks in a database: keeps most duplicates away from it. It holds answers for one life of the database
 * at a time (see readDatabaseLife), because a database that was set back has lost effects that Redis remembers. What
 * Redis itself forgets, evicts or never got is "maybe new", and the database decides.
 */
export interface InboxFilter {
  /** Whose marks these are. */
  readonly consumer: string
  readonly counts: FilterCounts
  /**
   * For each event, in one round trip: true when its effect was committed in this life of the database. False proves
   * nothing. Never fails because of Redis.
   */
  knows(life: string, events: readonly EventKey[], signal?: AbortSignal): Promise<readonly boolean[]>
  /** After the COMMIT of their effects was answered, never before. `life` is that of this commit. Never fails. */
  remember(life: string, events: readonly EventKey[]): Promise<void>
}

/**
 * A filter in Redis.
 *
 * @example
 * const filter = redisFilter({ redis, consumer: 'billing', retentionMs: 86_400_000 })
 * @throws OutboxError CONSUMER_OPTIONS_INVALID
 */
export function redisFilter(options: RedisFilterOptions): InboxFilter {
  assertNoKeyPrefix(options.redis)
  return new RedisFilter(options)
}

// One MGET or one pipeline: what Redis does in a few milliseconds.
const eventsMax = 10_000

class RedisFilter implements InboxFilter {
  readonly counts = { known: 0, unknown: 0, failed: 0 }
  readonly consumer: string
  readonly #redis: RedisClient
  readonly #names: KeyNames
  readonly #retentionMs: number
  readonly #timeoutMs: number
  readonly #pauseMs: number
  #pausedUntil = Number.NEGATIVE_INFINITY

  constructor({ redis, consumer, hashTag, retentionMs, timeoutMs, pauseMs }: RedisFilterOptions) {
    this.#redis = redis
    this.consumer = consumer
    this.#names = new KeyNames(consumer, hashTag)
    this.#retentionMs = between('retentionMs', retentionMs, undefined, 1, msMax)
    this.#timeoutMs = between('timeoutMs', timeoutMs, 100, 1, 60_000)
    this.#pauseMs = between('pauseMs', pauseMs, 1_000, 0, 3_600_000)
  }

  async knows(life: string, events: readonly EventKey[], signal?: AbortSignal): Promise<readonly boolean[]> {
    signal?.throwIfAborted()
    const keys = this.#keysOf(events)
    const found = await this.#tryTo(() => this.#redis.mget(keys), keys, signal)
    const wanted = digest(life)
    const known = events.map((_, index) => found?.[index] === wanted)
    const count = known.filter(Boolean).length
    this.counts.known += count
    this.counts.unknown += known.length - count
    return known
  }

  async remember(life: string, events: readonly EventKey[]): Promise<void> {
    const keys = this.#keysOf(events)
    const value = digest(life)
    const commands = keys.map((key) => ['set', key, value, 'PX', this.#retentionMs])
    await this.#tryTo(() => this.#redis.pipeline(commands).exec(), keys)
  }

  #keysOf(events: readonly EventKey[]): string[] {
    if (events.length > eventsMax)
      throw new OutboxError(
        'CONSUMER_OPTIONS_INVALID',
        `${events.length} events at once: ${eventsMax} are possible`,
      )
    return events.map((event) => this.#names.remembered(event))
  }

  /** Undefined when there is nothing to ask, or Redis does not answer or is being left alone. */
  async #tryTo<Result>(
    ask: () => Promise<Result>,
    keys: readonly string[],
    signal?: AbortSignal,
  ): Promise<Result | undefined> {
    if (keys.length === 0 || performance.now() < this.#pausedUntil) return undefined
    try {
      return await within({ timeoutMs: this.#timeoutMs, signal }, ask())
    } catch (error) {
      signal?.throwIfAborted()
      this.#pausedUntil = performance.now() + this.#pauseMs
      this.counts.failed += 1
      channels.consumerFilterUnavailable.publish({ consumer: this.consumer, error })
      return undefined
    }
  }
}

/** 128 bits of it: a life is long, and the value of every key. */
const digest = (life: string): string => createHash('sha256').update(life).digest('base64url').slice(0, 22)
