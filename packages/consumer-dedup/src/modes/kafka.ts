import { faultPoint, type AnyTopic } from '@oncebox/core'
import type { ConsumedOffsets } from '@oncebox/kafka'
import type { KafkaContext, Send } from '../event.js'
import { classifyHandlerError } from '../failing/failure.js'
import type { ResolvedKafkaModeOptions } from '../resolved-options.js'
import type { GroupPosition } from '../positions/group-position.js'
import { retryOutput } from '../retrying/retry-output.js'
import type { Output } from '../sending/output.js'
import { isRefused } from '../sending/refused.js'
import { SentEvents } from '../sending/send.js'
import type { TransactionalSender } from '../sending/transactional-sender.js'
import { GroupPartition } from './group-partition.js'
import type {
  Attempt,
  BatchAttempt,
  BatchOutcome,
  EffectOutcome,
  Forwarding,
  Subject,
} from './partition-effects.js'

/** What a transaction names of the member that makes it (KIP-447). */
type Member = Pick<ConsumedOffsets, 'groupId' | 'generationId' | 'memberId' | 'groupInstanceId'>

/**
 * `kafka`: what handlers send and the offsets of what they read are one Kafka transaction. It is fenced twice: by the
 * transactional id of the partition, and by the member's generation.
 */
export class KafkaPartition<Topics extends readonly AnyTopic[]> extends GroupPartition<KafkaContext<Topics>> {
  readonly #kafka: ResolvedKafkaModeOptions
  readonly #sender: TransactionalSender
  readonly #member: Member

  constructor(
    options: ResolvedKafkaModeOptions,
    position: GroupPosition,
    member: Member,
    sender: TransactionalSender,
  ) {
    super(options, position)
    this.#kafka = options
    this.#member = member
    this.#sender = sender
  }

  async attempt({ subject, signal, work }: Attempt<KafkaContext<Topics>>): Promise<EffectOutcome> {
    return await this.#process(subject.record.offset + 1n, signal, (send) => work({ send, signal }))
  }

  async attemptTogether({
    subjects,
    next,
    signal,
    work,
  }: BatchAttempt<KafkaContext<Topics>>): Promise<BatchOutcome> {
    const outcome = await this.#process(next, signal, (send) => work(subjects, { send, signal }))
    return outcome.kind === 'failed' ? outcome : { kind: 'handled', duplicates: new Set() }
  }

  /** What was skipped needs no transaction. */
  async pass(next: bigint): Promise<void> {
    await this.position.commit(next)
  }

  override async close(): Promise<void> {
    await this.#sender.close()
  }

  async forward(event: Forwarding): Promise<EffectOutcome> {
    await faultPoint('consumer.forwarding')
    const copy = retryOutput(this.letter(event), event.tier)
    return await this.#commit([copy], event.subject.record.offset + 1n, event.signal)
  }

  /** In one transaction with the offset behind its event. */
  protected async bury({ record }: Subject, letter: Output, signal: AbortSignal): Promise<EffectOutcome> {
    return await this.#commit([letter], record.offset + 1n, signal)
  }

  async #process(
    next: bigint,
    signal: AbortSignal,
    work: (send: Send<Topics>) => Promise<void>,
  ): Promise<EffectOutcome> {
    const sent = new SentEvents(this.#kafka.source, this.#kafka.outputs)
    let outputs: Output[]
    try {
      await work((type: string, payload: unknown, options?: object) => sent.add(type, payload, options))
      outputs = await sent.end()
    } catch (error) {
      return { kind: 'failed', failure: classifyHandlerError(error, this.options.retryRule), error }
    }
    await faultPoint('consumer.effect.done')
    return await this.#commit(outputs, next, signal)
  }

  async #commit(outputs: readonly Output[], next: bigint, signal: AbortSignal): Promise<EffectOutcome> {
    const offsets = { ...this.#member, offsets: [this.position.at(next)] }
    try {
      await this.#sender.send({ outputs, offsets }, signal)
    } catch (error) {
      // What is not refused for good is Kafka's: the offsets are read again, and tell what became of it.
      return { kind: 'failed', failure: isRefused(error) ? 'permanent' : 'unavailable', error }
    }
    this.position.moved(next)
    await faultPoint('consumer.offset.committed')
    return { kind: 'handled' }
  }
}
