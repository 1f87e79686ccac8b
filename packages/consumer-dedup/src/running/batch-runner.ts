import type { ConsumedRecord } from '@oncebox/kafka'
import { holdsPartition } from '../failing/failure.js'
import { rerun } from '../failing/rerun.js'
import type { Handlers } from '../handlers.js'
import type { PartitionEffects, Subject } from '../modes/partition-effects.js'
import type { ResolvedCommonOptions } from '../resolved-options.js'
import { consumedEvent } from '../records/consumed-event.js'
import { decode } from '../records/decode.js'
import type { DecodedSubject } from '../records/decoded-subject.js'
import { markKeyOf } from '../records/mark-key.js'
import { recordOf } from '../records/record.js'
import type { Reporter } from '../report.js'
import { inDoubt } from './in-doubt.js'

/**
 * Handles several events in one step. It runs plain: a savepoint for each event would slow every snapshot of the cluster
 * down once there are more than 64.
 */
export class BatchRunner<Context> {
  readonly #options: ResolvedCommonOptions
  readonly #handlers: Handlers<Context>
  readonly #report: Reporter

  constructor(options: ResolvedCommonOptions, handlers: Handlers<Context>, report: Reporter) {
    this.#options = options
    this.#handlers = handlers
    this.#report = report
  }

  /**
   * @param next The offset behind the last of them.
   * @returns Whether they have ended; false: run them one by one
   * @throws the signal's reason; OutboxError when the position has to be read again
   */
  async run(
    effects: PartitionEffects<Context>,
    records: readonly ConsumedRecord[],
    next: bigint,
    signal: AbortSignal,
  ): Promise<boolean> {
    const attemptTogether = effects.attemptTogether?.bind(effects)
    if (attemptTogether === undefined) return false
    const decoded = await this.#decode(effects, records)
    if (decoded === undefined) return false
    const { subjects, skipped } = decoded
    if (subjects.length > 0) {
      signal.throwIfAborted()
      // Those that are new come back: the very objects.
      const work = (fresh: readonly Subject[], context: Context): Promise<void> =>
        this.#handle(fresh as readonly DecodedSubject[], context)
      const outcome = await rerun(signal, () => attemptTogether({ subjects, next, signal, work }))
      if (outcome.kind === 'failed') {
        if (holdsPartition(outcome.failure)) throw inDoubt(outcome.error)
        signal.throwIfAborted()
        return false
      }
      this.#reportEnds(subjects, outcome.duplicates)
    }
    for (const { record, envelope } of skipped) this.#report.skipped(record, envelope)
    return true
  }

  /** Undefined when one of them needs care of its own: it is invalid, or has failed before. */
  async #decode(
    effects: PartitionEffects<Context>,
    records: readonly ConsumedRecord[],
  ): Promise<{ subjects: readonly DecodedSubject[]; skipped: readonly Omit<Subject, 'mark'>[] } | undefined> {
    const topic = this.#options.topics.get(effects.key.topic)
    const subjects: DecodedSubject[] = []
    const skipped: Omit<Subject, 'mark'>[] = []
    const isHandled = (type: string): boolean => this.#handlers.has(type)
    if (topic === undefined) return { subjects, skipped }
    for (const consumed of records) {
      const record = recordOf(effects.key, consumed)
      const decoding = decode(topic, record, isHandled)
      const decoded = decoding instanceof Promise ? await decoding : decoding
      const { envelope } = decoded
      if (decoded.kind === 'invalid') return undefined
      if (decoded.kind === 'skipped') {
        skipped.push({ record, envelope })
        continue
      }
      const mark = markKeyOf(envelope)
      if (effects.attempts.of(mark) !== undefined) return undefined
      subjects.push({ record, envelope, mark, payload: decoded.payload })
    }
    return { subjects, skipped }
  }

  async #handle(subjects: readonly DecodedSubject[], context: Context): Promise<void> {
    if (this.#handlers.takesBatches)
      return await this.#handlers.runTogether(
        subjects.map((subject) => consumedEvent(subject, 1)),
        context,
      )
    for (const subject of subjects) {
      const { record, envelope } = subject
      await this.#report.handling(record, envelope, 1, async () => {
        await this.#handlers.run(consumedEvent(subject, 1), context)
        return { kind: 'handled' }
      })
    }
  }

  #reportEnds(subjects: readonly Subject[], duplicates: ReadonlySet<Subject>): void {
    for (const subject of subjects)
      if (duplicates.has(subject)) this.#report.duplicate(subject.record, subject.envelope, 1)
      else this.#report.handled(subject.record, subject.envelope, 1)
  }
}
