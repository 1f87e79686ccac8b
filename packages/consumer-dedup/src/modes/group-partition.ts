import { OutboxError } from '@oncebox/core'
import { AttemptsInMemory } from '../failing/attempts-in-memory.js'
import { causeOf, type DeadLetter } from '../failing/dead-letter.js'
import type { ResolvedGroupOptions } from '../resolved-options.js'
import type { GroupPosition } from '../positions/group-position.js'
import type { PartitionKey } from '../positions/position-store.js'
import { originRecord } from '../retrying/origin-record.js'
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

  async giveUp({ subject, known, error }: GivenUp): Promise<EffectOutcome> {
    const { deadLetterTopic, exhausted } = this.options
    const { record, envelope } = subject
    if (deadLetterTopic !== undefined)
      return await this.bury(this.letter({ subject, known, error }), deadLetterTopic, subject)
    if (exhausted === 'skip') return { kind: 'handled' }
    return {
      kind: 'failed',
      failure: 'stop',
      error: new OutboxError(
        'CONSUMER_EVENT_STUCK',
        `event ${envelope.id} at ${record.topic}-${record.partition}, offset ${record.offset}, cannot be handled`,
        {
          cause: error,
          details: {
            id: envelope.id,
            topic: record.topic,
            partition: record.partition,
            offset: String(record.offset),
          },
        },
      ),
    }
  }

  abstract pass(next: bigint, end: bigint): Promise<void>

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Writes the dead letter. Never throws. */
  protected abstract bury(letter: DeadLetter, topic: string, subject: Subject): Promise<EffectOutcome>

  protected letter({ subject, known, error }: Pick<GivenUp, 'subject' | 'known' | 'error'>): DeadLetter {
    const { envelope } = subject
    const record = originRecord(subject)
    return { consumer: this.options.name, envelope, record, ...known, ...causeOf(error) }
  }
}
