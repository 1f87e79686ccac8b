import { OutboxError } from '@oncebox/core'
import type { EventKey } from './names.js'
import type { RedisClient } from './script.js'

/**
 * Asked about an event that Redis does not know, after a loss: has it had its effect? From the database of the effect.
 * What it throws is thrown by once(), and the event stays unclaimed.
 */
export type AskDatabase = (
  event: EventKey,
  context: { readonly signal: AbortSignal },
) => Promise<'handled' | 'new'>

export interface RedisDedupOptions {
  /** An ioredis client that is yours: it is neither connected nor closed here. Without keyPrefix. */
  readonly redis: RedisClient
  /** The name under which events are remembered; 1 to 255 characters without braces. */
  readonly consumer: string
  /** How long a done event is remembered. At least as long as it can be delivered again: see assertDedupWindow(). */
  readonly retentionMs: number
  /** How long a claim lasts when its holder dies. It is extended while the effect runs. Default 30,000. */
  readonly leaseMs?: number
  /**
   * When Redis has lost its memory: `stop` refuses everything with CONSUMER_REDIS_AMNESIA until accept() is called. A
   * function is asked about each event that Redis does not know, for as long as it would have remembered it.
   */
  readonly onAmnesia: 'stop' | AskDatabase
  /**
   * The hash tag of all keys, in place of one made from `consumer`. In a cluster, the keys of an effect in Redis must be
   * in the same slot: give the tag that they have.
   */
  readonly hashTag?: string
  /** How long an answer of Redis is waited for. Default 5,000. */
  readonly timeoutMs?: number
  readonly effect?: {
    /** A key that is larger is not changed by several commands together: a copy of it is taken. Default 1 MiB. */
    readonly keyBytesMax?: number
  }
}

export interface ResolvedRedisDedupOptions {
  readonly redis: RedisClient
  readonly consumer: string
  readonly retentionMs: number
  readonly leaseMs: number
  readonly ask: AskDatabase | undefined
  readonly hashTag: string | undefined
  readonly timeoutMs: number
  readonly keyBytesMax: number
}

// 100 years: Redis keeps an end of life in milliseconds since 1970, with room for no more than that.
export const msMax = 3_153_600_000_000

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveRedisDedupOptions(options: RedisDedupOptions): ResolvedRedisDedupOptions {
  const { redis, consumer, onAmnesia, hashTag, effect = {} } = options
  assertNoKeyPrefix(redis)
  if (onAmnesia !== 'stop' && typeof onAmnesia !== 'function')
    throw invalid(`onAmnesia is 'stop', or a function that asks your database`)
  const leaseMs = within('leaseMs', options.leaseMs, 30_000, 100, 86_400_000)
  return Object.freeze({
    redis,
    consumer,
    leaseMs,
    retentionMs: within('retentionMs', options.retentionMs, undefined, leaseMs, msMax),
    ask: onAmnesia === 'stop' ? undefined : onAmnesia,
    hashTag,
    timeoutMs: within('timeoutMs', options.timeoutMs, 5_000, 10, 600_000),
    keyBytesMax: within('effect.keyBytesMax', effect.keyBytesMax, 1_048_576, 1, 104_857_600),
  })
}

/** A prefix is put before declared keys only: those inside commands would be others. */
export function assertNoKeyPrefix(redis: RedisClient): void {
  const prefix = redis.options.keyPrefix
  if (prefix !== undefined && prefix !== '')
    throw invalid('redis has a keyPrefix: give a client without, and put the prefix into consumer or hashTag')
}

export function within(
  name: string,
  value: number | undefined,
  byDefault: number | undefined,
  min: number,
  max: number,
): number {
  const number = value ?? byDefault
  if (number === undefined || !Number.isInteger(number) || number < min || number > max)
    throw invalid(`${name} is ${number}: a whole number from ${min} to ${max}`)
  return number
}

const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
