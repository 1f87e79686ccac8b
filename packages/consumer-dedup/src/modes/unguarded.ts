import { faultPoint } from '@oncebox/core'
import type { HandlerContext } from '../event.js'
import type { DeadLetter } from '../failing/dead-letter.js'
import { deadLetterRecord } from '../failing/dead-letter-record.js'
import { classifyHandlerError } from '../failing/failure.js'
import type { ResolvedGroupOptions } from '../resolved-options.js'
import type { GroupPosition } from '../positions/group-position.js'
import { retryOutput } from '../retrying/retry-output.js'
import type { Output } from '../sending/output.js'
import { isRefused } from '../sending/refused.js'
import type { TransactionalSender } from '../sending/transactional-sender.js'
import { GroupPartition } from './group-partition.js'
import type { Attempt, BatchAttempt, BatchOutcome, EffectOutcome, Forwarding } from './partition-effects.js'

/** The handler, and nothing that ties its effect to the position: what is written when decides what a crash may do. */
export abstract class UnguardedPartition<Context extends HandlerContext> extends GroupPartition<Context> {
  readonly #letters: TransactionalSender

  /** @param letters Opened with the first dead letter. */
  constructor(options: ResolvedGroupOptions, position: GroupPosition, letters: TransactionalSender) {
    super(options, position)
    this.#letters = letters
  }

  override async close(): Promise<void> {
    await this.#letters.close()
  }

  /** The offset is committed behind it: a crash between the two sends it twice. */
  async forward(event: Forwarding): Promise<EffectOutcome> {
    await faultPoint('consumer.forwarding')
    return await this.sendLetter(retryOutput(this.letter(event), event.tier))
  }

  protected async bury(letter: DeadLetter, topic: string): Promise<EffectOutcome> {
    return await this.sendLetter(deadLetterRecord(topic, letter))
  }

  protected async sendLetter(output: Output): Promise<EffectOutcome> {
    try {
      await this.#letters.send({ outputs: [output] })
      return { kind: 'handled' }
    } catch (error) {
      return { kind: 'failed', failure: isRefused(error) ? 'permanent' : 'unavailable', error }
    }
  }

  protected async run(work: () => Promise<void>): Promise<EffectOutcome> {
    try {
      await work()
    } catch (error) {
      return { kind: 'failed', failure: classifyHandlerError(error, this.options.retryRule), error }
    }
    await faultPoint('consumer.effect.done')
    return { kind: 'handled' }
  }
}

/** `at-least-once`: the offset is committed after the handler. A crash between the two runs the handler again. */
export class AtLeastOncePartition extends UnguardedPartition<HandlerContext> {
  async attempt({ signal, work }: Attempt<HandlerContext>): Promise<EffectOutcome> {
    return await this.run(() => work({ signal }))
  }

  async attemptTogether({ subjects, signal, work }: BatchAttempt<HandlerContext>): Promise<BatchOutcome> {
    const outcome = await this.run(() => work(subjects, { signal }))
    return outcome.kind === 'failed' ? outcome : { kind: 'handled', duplicates: new Set() }
  }

  async pass(next: bigint): Promise<void> {
    await faultPoint('consumer.offset.due')
    await this.position.commit(next)
    await faultPoint('consumer.offset.committed')
  }
}

/**
 * `at-most-once`: the offset of a whole fetched batch is committed before its first handler runs. A crash loses what of the
 * batch has not been handled. There is no second attempt, so events are never handled together: of a batch that fails, nobody
 * knows which have been handled.
 */
export class AtMostOncePartition extends UnguardedPartition<HandlerContext> {
  override async begin(end: bigint): Promise<void> {
    await this.position.commit(end)
    await faultPoint('consumer.offset.committed')
  }

  /** Given up in good order, the rest of a batch is given back: nobody has begun it. */
  async pass(next: bigint, end: bigint): Promise<void> {
    if (next >= end) await this.position.commit(next)
  }

  async attempt({ signal, work }: Attempt<HandlerContext>): Promise<EffectOutcome> {
    return once(await this.run(() => work({ signal })))
  }
}

/** No attempt follows: whatever failed has failed for good. */
const once = (outcome: EffectOutcome): EffectOutcome =>
  outcome.kind === 'failed' ? { ...outcome, failure: 'permanent' } : outcome
