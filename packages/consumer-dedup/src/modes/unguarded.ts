import { faultPoint } from '@oncebox/core'
import type { HandlerContext } from '../event.js'
import { classifyHandlerError } from '../failing/failure.js'
import type { ResolvedGroupOptions } from '../resolved-options.js'
import type { GroupPosition } from '../positions/group-position.js'
import { retryOutput } from '../retrying/retry-output.js'
import type { Output } from '../sending/output.js'
import { isRefused } from '../sending/refused.js'
import type { TransactionalSender } from '../sending/transactional-sender.js'
import { GroupPartition } from './group-partition.js'
import type {
  Attempt,
  BatchAttempt,
  BatchOutcome,
  EffectOutcome,
  Forwarding,
  GivenUp,
  Subject,
} from './partition-effects.js'

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
    return await this.#send(retryOutput(this.letter(event), event.tier), event.signal)
  }

  protected async bury(_subject: Subject, letter: Output, signal: AbortSignal): Promise<EffectOutcome> {
    const outcome = await this.#send(letter, signal)
    if (outcome.kind !== 'failed') await faultPoint('consumer.letter.sent')
    return outcome
  }

  async #send(output: Output, signal: AbortSignal): Promise<EffectOutcome> {
    try {
      await this.#letters.send({ outputs: [output] }, signal)
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
 * batch has not been handled; whatever else ends a batch early, all but the event in hand is given back. There is no second
 * attempt, so events are never handled together: of a batch that fails, nobody knows which have been handled.
 */
export class AtMostOncePartition extends UnguardedPartition<HandlerContext> {
  /** Behind the last event that was begun, or given up. */
  #behind = this.position.next
  #committing: Promise<void> = Promise.resolve()

  override async begin(end: bigint): Promise<void> {
    await this.#commit(() => end)
    await faultPoint('consumer.offset.committed')
  }

  /** The end of a batch, or where it was left in good order. */
  async pass(next: bigint, end: bigint): Promise<void> {
    if (next < end) return
    if (next > this.#behind) this.#behind = next
    await this.#commit(() => this.#behind)
  }

  async attempt({ subject, signal, work }: Attempt<HandlerContext>): Promise<EffectOutcome> {
    this.#behind = subject.record.offset + 1n
    return once(await this.run(() => work({ signal })))
  }

  override async giveUp(event: GivenUp): Promise<EffectOutcome> {
    const outcome = await super.giveUp(event)
    if (outcome.kind !== 'failed') this.#behind = event.subject.record.offset + 1n
    return outcome
  }

  /** The rest of a batch that has ended early is given back. Where that fails it is lost, as by a crash. */
  override async close(): Promise<void> {
    await this.#commit(() => this.#behind).catch(() => undefined)
    await super.close()
  }

  /** One after the other: what is given back must not be taken again by a commit that was on its way. */
  #commit(next: () => bigint): Promise<void> {
    const commit = (): Promise<void> => this.position.commit(next())
    const turn = this.#committing.then(commit, commit)
    this.#committing = turn.catch(() => undefined) // its caller hears of it
    return turn
  }
}

/** No attempt follows: whatever failed has failed for good. */
const once = (outcome: EffectOutcome): EffectOutcome =>
  outcome.kind === 'failed' ? { ...outcome, failure: 'permanent' } : outcome
