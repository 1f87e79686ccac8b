import { OutboxError } from '@oncebox/core'
import { AttemptsInMemory } from '../failing/attempts-in-memory.js'
import { deadLetterRecords } from '../failing/dead-letter-record.js'
import { causeOf, type DeadLetter } from '../failing/dead-letter.js'
import type { ResolvedGroupOptions } from '../resolved-options.js'
import type { GroupPosition } from '../positions/group-position.js'
import type { PartitionKey } from '../positions/position-store.js'
import { originRecord } from '../retrying/origin-record.js'
import type { Output } from '../sending/output.js'
import { isRefused } from '../sending/refused.js'
import type { Attempt, EffectOutcome, GivenUp, PartitionEffects, Subject } from './partition-effects.js'

const noBackends: readonly number[] = []

/** A partition whose position is the group's offset in Kafka. */
export abstract class GroupPartition<Context> implements PartitionEffects<Context> {
  readonly attempts = new AttemptsInMemory()
  /** Nothing says over what a process died. */
  readonly aloneUntil = 0n
  readonly backends = noBackends
  protected readonly options: ResolvedGroupOptions
  protected readonly position: GroupPosition

  constructor(options: ResolvedGroupOptions, position: GroupPosition) {
    this.options = options
    this.position = position
  }

  get key(): PartitionKey {
    return this.position.key
  }

  get next(): bigint {
    return this.position.next
  }

  begin(_end: bigint): Promise<void> {
    return Promise.resolve()
  }

  abstract attempt(attempt: Attempt<Context>): Promise<EffectOutcome>

  async giveUp({ subject, known, error, signal }: GivenUp): Promise<EffectOutcome> {
    const { deadLetterTopic, exhausted } = this.options
    if (deadLetterTopic === undefined)
      return exhausted === 'skip' ? { kind: 'handled' } : stuck(subject, 'cannot be handled', error)
    const letter = this.letter({ subject, known, error })
    let refusal: unknown
    for (const output of deadLetterRecords(deadLetterTopic, letter)) {
      const outcome = await this.bury(subject, output, signal)
      if (outcome.kind !== 'failed' || !isRefused(outcome.error)) return outcome
      refusal = outcome.error
    }
    return stuck(subject, `failed (${letter.code}), and ${deadLetterTopic} refuses its dead letter`, refusal)
  }

  abstract pass(next: bigint, end: bigint): Promise<void>

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Writes the dead letter of an event. Never throws. */
  protected abstract bury(subject: Subject, letter: Output, signal: AbortSignal): Promise<EffectOutcome>

  protected letter({ subject, known, error }: Pick<GivenUp, 'subject' | 'known' | 'error'>): DeadLetter {
    const { envelope } = subject
    const record = originRecord(subject)
    return { consumer: this.options.name, envelope, record, ...known, ...causeOf(error) }
  }
}

/** There is no place for the event. */
function stuck({ record, envelope }: Subject, what: string, cause: unknown): EffectOutcome {
  const { topic, partition } = record
  const offset = String(record.offset)
  return {
    kind: 'failed',
    failure: 'stop',
    error: new OutboxError(
      'CONSUMER_EVENT_STUCK',
      `event ${envelope.id} at ${topic}-${partition}, offset ${offset}, ${what}`,
      { cause, details: { id: envelope.id, topic, partition, offset } },
    ),
  }
}
