import { randomUUID } from 'node:crypto'
import { faultPoint, LinkedSignal, OutboxError } from '@oncebox/core'
import { encodeCommands, type RedisEffect } from './commands.js'
import { LeaseKeeper } from './lease-keeper.js'
import { RedisMemory, type RedisLoss } from './memory.js'
import { KeyNames, type EventKey } from './names.js'
import {
  resolveRedisDedupOptions,
  type AskDatabase,
  type RedisDedupOptions,
  type ResolvedRedisDedupOptions,
} from './options.js'
import { claim } from './scripts/claim.js'
import { extend } from './scripts/extend.js'
import { finish } from './scripts/finish.js'
import { release } from './scripts/release.js'
import { takeEffect } from './scripts/take-effect.js'

/** What became of an event. */
export type OnceOutcome = 'handled' | 'duplicate'

/** What an effect outside of Redis is told. */
export interface FilteredContext {
  /**
   * Redis is a filter in front of this effect, no guard of it: the effect happens again when its process dies between
   * the effect and its mark, or when Redis forgets. Give it an idempotency key.
   */
  readonly guarantee: 'at-least-once'
  /** Somebody claimed the event before and never finished: their effect may have happened. */
  readonly takenOver: boolean
  /** Aborted when the caller's is, and when somebody else may have the claim. */
  readonly signal: AbortSignal
}

export type FilteredEffect = (context: FilteredContext) => PromiseLike<unknown>

/**
 * Makes the effect of an event, under a claim of it: nobody else makes it meanwhile. Nothing has happened when it returns;
 * what it returns takes effect with the mark. Undefined: the event is marked, and that is all.
 */
export type EffectMaker = (context: { readonly signal: AbortSignal }) => PromiseLike<RedisEffect | undefined>

export interface OnceOptions {
  readonly signal?: AbortSignal
}

/** Marks of events in Redis. Made by {@link createRedisDedup}. */
export interface RedisDedup {
  readonly consumer: string
  /** How long a done event is remembered. */
  readonly retentionMs: number
  /**
   * Runs an effect that is not in this Redis, unless the event is done. One holder at a time. It is a filter: the effect
   * happens at least once, and once as long as its process lives through it and Redis forgets nothing.
   * @throws OutboxError CONSUMER_CLAIM_HELD: somebody else handles it, for another `details.remainingMs` at most.
   *   CONSUMER_CLAIM_LOST: the effect has run, but somebody else has taken the event over, and may have run it too.
   *   CONSUMER_REDIS_AMNESIA, CONSUMER_REDIS_EVICTS, CONSUMER_REDIS_UNSUPPORTED, CONSUMER_REDIS_UNAVAILABLE; and
   *   whatever the effect throws, after its claim was given back
   */
  once(event: EventKey, effect: FilteredEffect, options?: OnceOptions): Promise<OnceOutcome>
  /**
   * Runs commands on keys of this Redis and marks the event, in one atomic step: the effect happens exactly once in
   * these keys, for as long as Redis keeps both. A function that makes the commands is called under a claim of the event,
   * and not for a duplicate.
   * @throws OutboxError CONSUMER_REDIS_EFFECT_REFUSED: a command cannot run, nothing has changed. Codes of once()
   */
  onceInRedis(event: EventKey, effect: RedisEffect | EffectMaker, options?: OnceOptions): Promise<OnceOutcome>
  /**
   * Throws what once() would throw of Redis: its version, its maxmemory-policy, its memory. For the start of a program
   * and for readiness.
   */
  check(options?: OnceOptions): Promise<void>
  /**
   * "I know that Redis knows nothing, go on": called by a person or a deployment step, never by a program at its start.
   * Needed once for a new consumer, and after each loss. Resolves with the loss, undefined when there was none.
   */
  accept(options?: OnceOptions): Promise<RedisLoss | undefined>
}

/**
 * A dedup store in Redis 6.2 or newer.
 *
 * @example
 * const dedup = createRedisDedup({ redis, consumer: 'billing', retentionMs: 14 * 86_400_000, onAmnesia: 'stop' })
 * await dedup.onceInRedis(event, { keys: ['stock:apple'], commands: [['hincrby', 'stock:apple', 'reserved', 1]] })
 * @throws OutboxError CONSUMER_OPTIONS_INVALID
 */
export function createRedisDedup(options: RedisDedupOptions): RedisDedup {
  return new ScriptedDedup(resolveRedisDedupOptions(options))
}

class ScriptedDedup implements RedisDedup {
  readonly #options: ResolvedRedisDedupOptions
  readonly #names: KeyNames
  readonly #memory: RedisMemory

  constructor(options: ResolvedRedisDedupOptions) {
    const { redis, consumer, hashTag, timeoutMs, retentionMs, ask } = options
    this.#options = options
    this.#names = new KeyNames(consumer, hashTag)
    this.#memory = new RedisMemory({
      redis,
      consumer,
      sentinelKey: this.#names.sentinel,
      doubtMs: retentionMs,
      canAsk: ask !== undefined,
      timeoutMs,
    })
  }

  get consumer(): string {
    return this.#options.consumer
  }

  get retentionMs(): number {
    return this.#options.retentionMs
  }

  async once(event: EventKey, effect: FilteredEffect, { signal }: OnceOptions = {}): Promise<OnceOutcome> {
    const claimed = await this.#claim(event, signal)
    if (claimed === undefined) return 'duplicate'
    const { takenOver, inDoubt } = claimed
    const done = await this.#underClaim(event, claimed, signal, (signals) =>
      effect({ guarantee: 'at-least-once', takenOver: takenOver || inDoubt, signal: signals }),
    )
    if (done !== 'known') await faultPoint('redis.effect.done')
    // Without the caller's signal: the effect is done, and had better be known to be.
    await this.#finish(event, claimed.token)
    return done === 'known' ? 'duplicate' : 'handled'
  }

  async onceInRedis(
    event: EventKey,
    effect: RedisEffect | EffectMaker,
    { signal }: OnceOptions = {},
  ): Promise<OnceOutcome> {
    if (typeof effect !== 'function')
      return await this.#take(event, effect, { token: randomUUID(), isNew: false }, signal)
    const claimed = await this.#claim(event, signal)
    if (claimed === undefined) return 'duplicate'
    const { token } = claimed
    const made = await this.#underClaim(event, claimed, signal, (signals) => effect({ signal: signals }))
    if (made === 'known' || made.result === undefined) {
      await this.#finish(event, token)
      return made === 'known' ? 'duplicate' : 'handled'
    }
    try {
      return await this.#take(event, made.result, { token, isNew: true }, signal)
    } catch (error) {
      if (OutboxError.is(error, 'CONSUMER_REDIS_EFFECT_REFUSED')) await this.#release(event, token)
      throw error
    }
  }

  async check({ signal }: OnceOptions = {}): Promise<void> {
    await this.#memory.check(signal)
  }

  async accept({ signal }: OnceOptions = {}): Promise<RedisLoss | undefined> {
    await this.#memory.look(signal)
    return await this.#memory.renew(0, signal)
  }

  /** Undefined when the event is done. */
  async #claim(event: EventKey, signal: AbortSignal | undefined): Promise<Claim | undefined> {
    const { leaseMs, retentionMs } = this.#options
    const token = randomUUID()
    const { status, rest } = await this.#memory.run(claim, {
      keys: [this.#names.mark(event)],
      args: [token, leaseMs, retentionMs],
      signal,
    })
    if (status === 'done') return undefined
    if (status === 'held') throw this.#held(event, rest[0])
    // As texts where the client has stringNumbers.
    return { token, takenOver: Number(rest[0]) === 1, inDoubt: Number(rest[1]) === 1 }
  }

  /** `known` when the database has the effect already, which it is asked when a missing mark proves nothing. */
  async #underClaim<Result>(
    event: EventKey,
    { token, inDoubt }: Claim,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => PromiseLike<Result>,
  ): Promise<'known' | { readonly result: Result }> {
    await faultPoint('redis.claimed')
    const keeper = new LeaseKeeper({
      leaseMs: this.#options.leaseMs,
      extend: () => this.#extend(event, token),
    })
    using wanted = new LinkedSignal(signal, keeper.lost)
    try {
      if (inDoubt && (await this.#ask(event, wanted.signal)) === 'handled') return 'known'
      return { result: await work(wanted.signal) }
    } catch (error) {
      await keeper.stop()
      await this.#release(event, token)
      throw error
    } finally {
      await keeper.stop()
    }
  }

  async #take(
    event: EventKey,
    effect: RedisEffect,
    { token, isNew }: { readonly token: string; readonly isNew: boolean },
    signal: AbortSignal | undefined,
  ): Promise<OnceOutcome> {
    const { retentionMs, keyBytesMax } = this.#options
    const { status, rest } = await this.#memory.run(takeEffect, {
      keys: [this.#names.mark(event), ...effect.keys],
      args: [token, retentionMs, isNew ? 1 : 0, keyBytesMax, ...encodeCommands(effect)],
      signal,
      sent: () => faultPoint('redis.effect.sent'),
    })
    switch (status) {
      case 'handled':
      case 'duplicate':
        return status
      case 'held':
        throw this.#held(event, rest[0])
      case 'refused':
        throw this.#refused(event, rest)
      default:
        // In doubt: a mark that is missing proves nothing. Asked once: the next answer takes it for granted.
        if ((await this.#ask(event, signal)) === 'handled') return await this.#markOnly(event, signal)
        return await this.#take(event, effect, { token, isNew: true }, signal)
    }
  }

  async #extend(event: EventKey, token: string): Promise<void> {
    const { leaseMs, retentionMs } = this.#options
    const { status } = await this.#memory.run(extend, {
      keys: [this.#names.mark(event)],
      args: [token, leaseMs, retentionMs],
    })
    if (status === 'lost') throw this.#lost(event)
  }

  async #finish(event: EventKey, token: string): Promise<void> {
    const { status } = await this.#memory.run(finish, {
      keys: [this.#names.mark(event)],
      args: [token, this.#options.retentionMs],
      sent: () => faultPoint('redis.finish.sent'),
    })
    if (status === 'lost') throw this.#lost(event)
  }

  async #release(event: EventKey, token: string): Promise<void> {
    try {
      await this.#memory.run(release, { keys: [this.#names.mark(event)], args: [token] })
    } catch {
      // The lease ends by itself. What the effect threw is what the caller needs to know.
    }
  }

  /** The database has the effect: the event is done, and nothing is run. */
  async #markOnly(event: EventKey, signal: AbortSignal | undefined): Promise<'duplicate'> {
    const claimed = await this.#claim(event, signal)
    if (claimed !== undefined) await this.#finish(event, claimed.token)
    return 'duplicate'
  }

  async #ask(event: EventKey, signal: AbortSignal = new AbortController().signal): ReturnType<AskDatabase> {
    const { ask } = this.#options
    // Marks are in doubt only after a renewal for somebody who can ask; a program that cannot must not go on.
    if (ask === undefined)
      throw new OutboxError(
        'CONSUMER_REDIS_AMNESIA',
        `${this.consumer}: another program with this consumer name asks its database about lost marks; this one cannot`,
        { details: { consumer: this.consumer, source: event.source, id: event.id } },
      )
    return await ask(event, { signal })
  }

  #held(event: EventKey, remainingMs: unknown): OutboxError {
    return new OutboxError(
      'CONSUMER_CLAIM_HELD',
      `event ${event.id} of ${event.source} is handled by somebody else, whose claim lasts for another ${String(remainingMs)} ms`,
      {
        details: {
          consumer: this.consumer,
          source: event.source,
          id: event.id,
          remainingMs: Number(remainingMs),
        },
      },
    )
  }

  #lost(event: EventKey): OutboxError {
    return new OutboxError(
      'CONSUMER_CLAIM_LOST',
      `event ${event.id} of ${event.source} was taken over by somebody else: its lease had run out`,
      { details: { consumer: this.consumer, source: event.source, id: event.id } },
    )
  }

  #refused(event: EventKey, [number, reason]: readonly unknown[]): OutboxError {
    return new OutboxError(
      'CONSUMER_REDIS_EFFECT_REFUSED',
      `command ${String(number)} of the effect of event ${event.id}: ${String(reason)}`,
      { details: { consumer: this.consumer, source: event.source, id: event.id, command: Number(number) } },
    )
  }
}

interface Claim {
  readonly token: string
  readonly takenOver: boolean
  readonly inDoubt: boolean
}
