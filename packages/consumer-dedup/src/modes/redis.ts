import { delay, faultPoint, OutboxError } from '@oncebox/core'
import type { RedisContext } from '../event.js'
import { classifyHandlerError } from '../failing/failure.js'
import type { ResolvedRedisModeOptions } from '../resolved-options.js'
import type { GroupPosition } from '../positions/group-position.js'
import type { RedisCommand, RedisEffect } from '../redis/commands.js'
import type { OnceOutcome, RedisDedup } from '../redis/dedup.js'
import type { Output } from '../sending/output.js'
import type { TransactionalSender } from '../sending/transactional-sender.js'
import { GroupPartition } from './group-partition.js'
import type { Attempt, EffectOutcome, Subject } from './partition-effects.js'

// A claim is held for one lease behind the end of its process, or for as long as somebody who lives handles the event:
// a zombie, or another topic that has it too.
const heldWaitsMax = 20

/**
 * `redis`: the handler runs under a claim of its event and only gathers commands; these and the mark take effect in one atomic
 * step. The offset is committed afterwards, so an event may come again, and is known.
 */
export class RedisPartition extends GroupPartition<RedisContext> {
  readonly #dedup: RedisDedup
  readonly #letters: TransactionalSender

  /** @param letters Opened with the first dead letter. */
  constructor(options: ResolvedRedisModeOptions, position: GroupPosition, letters: TransactionalSender) {
    super(options, position)
    this.#dedup = options.dedup
    this.#letters = letters
  }

  async attempt({ subject, signal, work }: Attempt<RedisContext>): Promise<EffectOutcome> {
    let failure: unknown
    const outcome = await this.#untilOurs(signal, () =>
      this.#dedup.onceInRedis(
        subject.mark,
        async (claim) => {
          const effect = new GatheredEffect()
          try {
            await work({ signal: claim.signal, write: (part) => effect.add(part) })
          } catch (error) {
            failure = error
            throw error
          }
          await faultPoint('consumer.effect.done')
          return effect.whole
        },
        { signal },
      ),
    )
    return outcome.kind === 'failed' && failure !== undefined && outcome.error === failure
      ? { ...outcome, failure: classifyHandlerError(failure, this.options.retryRule) }
      : outcome
  }

  async pass(next: bigint): Promise<void> {
    await faultPoint('consumer.offset.due')
    await this.position.commit(next)
    await faultPoint('consumer.offset.committed')
  }

  override async close(): Promise<void> {
    await this.#letters.close()
  }

  /** Marked as well: an event that comes again after its letter is a duplicate. */
  protected async bury({ mark }: Subject, letter: Output, signal: AbortSignal): Promise<EffectOutcome> {
    return await this.#untilOurs(signal, () =>
      this.#dedup.once(
        mark,
        async () => {
          await this.#letters.send({ outputs: [letter] }, signal)
          await faultPoint('consumer.letter.sent')
        },
        { signal },
      ),
    )
  }

  /** Waits while somebody else holds the event. Never throws. */
  async #untilOurs(signal: AbortSignal, run: () => Promise<OnceOutcome>): Promise<EffectOutcome> {
    for (let waits = 1; ; waits += 1) {
      try {
        return { kind: await run() }
      } catch (error) {
        if (!OutboxError.is(error, 'CONSUMER_CLAIM_HELD') || waits > heldWaitsMax || signal.aborted)
          return { kind: 'failed', failure: failureOf(error), error }
        // One more than what is left: Redis counts whole milliseconds.
        await delay(Number(error.details['remainingMs']) + 1, signal).catch(() => undefined)
      }
    }
  }
}

/** What the commands do not answer for is the effect's own failure. */
const failureOf = (error: unknown): 'attempt' | 'unavailable' =>
  OutboxError.is(error, 'CONSUMER_REDIS_EFFECT_REFUSED') || OutboxError.is(error, 'CONSUMER_OPTIONS_INVALID')
    ? 'attempt'
    : 'unavailable'

/** What a handler has written so far. */
class GatheredEffect {
  readonly #keys = new Set<string>()
  readonly #commands: RedisCommand[] = []

  add({ keys, commands }: RedisEffect): void {
    for (const key of keys) this.#keys.add(key)
    this.#commands.push(...commands)
  }

  get whole(): RedisEffect | undefined {
    const [firstKey, ...keys] = this.#keys
    const [firstCommand, ...commands] = this.#commands
    if (firstKey === undefined || firstCommand === undefined) return undefined
    return { keys: [firstKey, ...keys], commands: [firstCommand, ...commands] }
  }
}
