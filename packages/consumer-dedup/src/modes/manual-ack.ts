import { faultPoint } from '@oncebox/core'
import type { AckContext } from '../event.js'
import type { GroupPosition } from '../positions/group-position.js'
import type { ResolvedUnguardedOptions } from '../resolved-options.js'
import type { TransactionalSender } from '../sending/transactional-sender.js'
import { Acknowledgements } from './acknowledgements.js'
import type { Attempt, BatchAttempt, BatchOutcome, EffectOutcome } from './partition-effects.js'
import { UnguardedPartition } from './unguarded.js'

/**
 * `at-least-once` with acknowledgements: the offset passes an event when its handler, or whoever that gave it to, has
 * acknowledged it, and all events before it. What is not acknowledged is delivered again when the partition is assigned next.
 */
export class ManualAckPartition extends UnguardedPartition<AckContext> {
  readonly #acks: Acknowledgements
  /** Everything before it has been handed out. */
  #passed: bigint
  #committing: Promise<void> = Promise.resolve()

  constructor(options: ResolvedUnguardedOptions, position: GroupPosition, letters: TransactionalSender) {
    super(options, position, letters)
    this.#passed = position.next
    // Its own failure is the next one's to repair, or that of pass() or close().
    this.#acks = new Acknowledgements(
      options.unacknowledgedMax,
      () => void this.#commit().catch(() => undefined),
    )
  }

  async room(signal: AbortSignal): Promise<void> {
    await this.#acks.room(signal)
  }

  async attempt({ subject, signal, work }: Attempt<AckContext>): Promise<EffectOutcome> {
    return await this.#handOut([subject.record.offset], signal, work)
  }

  async attemptTogether({ subjects, signal, work }: BatchAttempt<AckContext>): Promise<BatchOutcome> {
    const outcome = await this.#handOut(
      subjects.map(({ record }) => record.offset),
      signal,
      (context) => work(subjects, context),
    )
    return outcome.kind === 'failed' ? outcome : { kind: 'handled', duplicates: new Set() }
  }

  async pass(next: bigint): Promise<void> {
    this.#passed = next
    await this.#commit()
  }

  override async close(): Promise<void> {
    await this.#commit().catch(() => undefined) // they are delivered again
    await super.close()
  }

  async #handOut(
    offsets: readonly bigint[],
    signal: AbortSignal,
    work: (context: AckContext) => Promise<void>,
  ): Promise<EffectOutcome> {
    const { acknowledge, takeBack } = this.#acks.begin(offsets)
    const outcome = await this.run(() => work({ signal, ack: acknowledge }))
    if (outcome.kind === 'failed') takeBack()
    // Events run one after the other, so all before these have ended.
    else this.#passed = (offsets.at(-1) ?? this.#passed) + 1n
    return outcome
  }

  /** One after the other: an offset that arrives late must not undo a later one. */
  #commit(): Promise<void> {
    const commit = async (): Promise<void> => {
      const { first } = this.#acks
      await faultPoint('consumer.offset.due')
      await this.position.commit(first === undefined || first > this.#passed ? this.#passed : first)
      await faultPoint('consumer.offset.committed')
    }
    const turn = this.#committing.then(commit, commit)
    this.#committing = turn
    turn.catch(() => undefined) // its caller hears of it
    return turn
  }
}
