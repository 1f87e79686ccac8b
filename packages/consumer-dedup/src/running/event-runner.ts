import { delay, faultPoint, nextDelayMs, OutboxError, type Envelope } from '@oncebox/core'
import type { ConsumedRecord } from '@oncebox/kafka'
import type { Attempts } from '../failing/attempts.js'
import { causeOf } from '../failing/dead-letter.js'
import { holdsPartition } from '../failing/failure.js'
import { handlerKilled } from '../failing/handler-killed.js'
import { rerun } from '../failing/rerun.js'
import type { Handlers } from '../handlers.js'
import type { EffectOutcome, Forwarding, PartitionEffects } from '../modes/partition-effects.js'
import type { ResolvedCommonOptions } from '../resolved-options.js'
import { keyParked } from '../parking/parking-lot.js'
import { consumedEvent } from '../records/consumed-event.js'
import { decode, envelopeOf, notACopy } from '../records/decode.js'
import { markKeyOf, markKeyOfTier } from '../records/mark-key.js'
import { recordOf } from '../records/record.js'
import type { Reporter } from '../report.js'
import { readRetryCopy } from '../retrying/retry-copy.js'
import { inDoubt, orInDoubt } from './in-doubt.js'
import { aloneTurn } from './alone.js'
import type { DecodedSubject } from '../records/decoded-subject.js'

export interface RunOptions {
  /** Somebody died over the batch that this event was in: it gets a started-record of its own. */
  readonly alone: boolean
  readonly signal: AbortSignal
}

type Subject = Omit<DecodedSubject, 'payload'>

const never: Attempts = { attempts: 0, kills: 0 }

/** Brings one event to its end: effect, duplicate, skipped or dead letter. */
export class EventRunner<Context> {
  readonly #options: ResolvedCommonOptions
  readonly #handlers: Handlers<Context>
  readonly #report: Reporter
  readonly #isHandled = (type: string): boolean => this.#handlers.has(type)

  constructor(options: ResolvedCommonOptions, handlers: Handlers<Context>, report: Reporter) {
    this.#options = options
    this.#handlers = handlers
    this.#report = report
  }

  /**
   * Resolves when the event is finished and the position may pass it.
   * @throws the signal's reason when the event was given up in good order; OutboxError CONSUMER_POSITION_LOST,
   *   CONSUMER_DATABASE_UNAVAILABLE or KAFKA_* when the position has to be read again, CONSUMER_EVENT_STUCK when a
   *   person has to decide.
   */
  async run(
    effects: PartitionEffects<Context>,
    consumed: ConsumedRecord,
    options: RunOptions,
  ): Promise<void> {
    const found = recordOf(effects.key, consumed)
    const topic = this.#options.topics.get(found.topic)
    if (topic === undefined) return
    const copy = this.#options.tiers?.of(found.topic) === undefined ? undefined : readRetryCopy(found)
    if (copy === 'none') {
      const envelope = envelopeOf(found)
      const subject = { record: found, envelope, mark: markKeyOf(envelope) }
      return await this.#giveUp(effects, subject, never, notACopy(found), options.signal)
    }
    const { record, retried } = copy ?? { record: found, retried: undefined }
    const decoding = decode(topic, record, this.#isHandled)
    const decoded = decoding instanceof Promise ? await decoding : decoding
    const { envelope } = decoded
    const mark = retried === undefined ? markKeyOf(envelope) : markKeyOfTier(envelope, retried.tier)
    const subject = { record, envelope, mark, retried }
    switch (decoded.kind) {
      case 'skipped':
        // It had a handler when it was sent here.
        if (retried !== undefined)
          return await this.#giveUp(
            effects,
            subject,
            triedBefore(subject, never),
            handlerGone(envelope),
            options.signal,
          )
        this.#report.skipped(record, envelope)
        return
      case 'invalid':
        return await this.#giveUp(
          effects,
          subject,
          triedBefore(subject, never),
          decoded.error,
          options.signal,
        )
      case 'event':
        return options.alone
          ? await this.#runAlone(effects, { ...subject, payload: decoded.payload }, options)
          : await this.#tryEvent(effects, { ...subject, payload: decoded.payload }, options)
    }
  }

  async #runAlone(
    effects: PartitionEffects<Context>,
    subject: DecodedSubject,
    options: RunOptions,
  ): Promise<void> {
    using _turn = await aloneTurn.take(options.signal)
    const alone = { isStarted: false }
    try {
      await this.#tryEvent(effects, subject, options, alone)
    } catch (error) {
      // Stopped, revoked, or the database is away: nobody died over this event.
      if (alone.isStarted) await effects.attempts.leaveAlone(subject.mark)
      throw error
    }
  }

  async #tryEvent(
    effects: PartitionEffects<Context>,
    subject: DecodedSubject,
    { alone: isAlone, signal }: RunOptions,
    alone = { isStarted: false },
  ): Promise<void> {
    const { record, envelope, mark } = subject
    let known = effects.attempts.of(mark) ?? never
    for (;;) {
      signal.throwIfAborted()
      if (isAlone && !alone.isStarted) {
        known = await orInDoubt(effects.attempts.startAlone(mark))
        await faultPoint('consumer.attempt.started')
        alone.isStarted = true
        if (known.kills >= this.#options.killsMax) {
          const error = handlerKilled(subject, known)
          return await this.#giveUp(effects, subject, triedBefore(subject, known), error, signal)
        }
      }
      const tried = triedBefore(subject, known)
      const attempt = tried.attempts + 1
      const outcome = await rerun(signal, () => this.#attempt(effects, subject, attempt, signal))
      if (outcome.kind !== 'failed') {
        effects.attempts.forget(mark)
        return this.#reportEnd(subject, outcome, attempt)
      }
      if (holdsPartition(outcome.failure)) throw inDoubt(outcome.error)
      if (outcome.failure === 'permanent')
        return await this.#giveUp(effects, subject, { ...tried, attempts: attempt }, outcome.error, signal)
      if (signal.aborted) throw signal.reason
      known = await orInDoubt(effects.attempts.fail(mark, causeOf(outcome.error)))
      alone.isStarted = false
      // A tier is one attempt: the next one is that of the next tier.
      if (known.attempts >= (subject.retried === undefined ? this.#options.attemptsMax : 1))
        return await this.#tryLater(effects, subject, triedBefore(subject, known), outcome.error, signal)
      this.#report.retrying(record, envelope, attempt, outcome.error)
      await delay(nextDelayMs(this.#options.backoff, known.attempts), signal).catch(() => undefined)
    }
  }

  #reportEnd(
    { record, envelope }: Subject,
    { kind }: Exclude<EffectOutcome, { readonly kind: 'failed' }>,
    attempt: number,
  ): void {
    if (kind === 'handled') this.#report.handled(record, envelope, attempt)
    else if (kind === 'duplicate') this.#report.duplicate(record, envelope, attempt)
    else this.#report.parked(record, envelope, attempt - 1, keyParked())
  }

  #attempt(
    effects: PartitionEffects<Context>,
    subject: DecodedSubject,
    attempt: number,
    signal: AbortSignal,
  ): Promise<EffectOutcome> {
    const { record, envelope } = subject
    const event = consumedEvent(subject, attempt)
    return this.#report.handling(record, envelope, attempt, () =>
      effects.attempt({ subject, signal, work: (context) => this.#handlers.run(event, context) }),
    )
  }

  /** No attempt in its turn is left. */
  async #tryLater(
    effects: PartitionEffects<Context>,
    subject: Subject,
    known: Attempts,
    error: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    const tier = this.#options.tiers?.behind(subject.record.topic)
    if (tier !== undefined) return await this.#forward(effects, { subject, known, error, signal, tier })
    if (this.#options.parking === undefined || effects.park === undefined)
      return await this.#giveUp(effects, subject, known, error, signal)
    const outcome = await effects.park({ subject, known, error, signal })
    if (outcome.kind === 'failed') throw inDoubt(outcome.error)
    effects.attempts.forget(subject.mark)
    const { record, envelope } = subject
    if (outcome.kind === 'duplicate') this.#report.duplicate(record, envelope, known.attempts)
    else this.#report.parked(record, envelope, known.attempts, error)
  }

  async #forward(effects: PartitionEffects<Context>, event: Forwarding): Promise<void> {
    const { subject, known, error, signal, tier } = event
    const { record, envelope, mark } = subject
    const outcome = await effects.forward?.(event)
    // It fits no retry topic, and never will.
    if (outcome === undefined || (outcome.kind === 'failed' && outcome.failure === 'permanent'))
      return await this.#giveUp(effects, subject, known, error, signal)
    if (outcome.kind === 'failed') throw inDoubt(outcome.error)
    effects.attempts.forget(mark)
    if (outcome.kind === 'duplicate') this.#report.duplicate(record, envelope, known.attempts)
    else this.#report.forwarded(record, envelope, known.attempts, error, tier.topic)
  }

  async #giveUp(
    effects: PartitionEffects<Context>,
    subject: Subject,
    known: Attempts,
    error: unknown,
    signal: AbortSignal,
  ): Promise<void> {
    const { record, envelope, mark } = subject
    const outcome = await effects.giveUp({ subject, known, error, signal })
    // Never skipped: what cannot even be kept as a dead letter holds its partition, and says why.
    if (outcome.kind === 'failed') throw inDoubt(outcome.error)
    effects.attempts.forget(mark)
    if (outcome.kind === 'handled') this.#report.deadLettered(record, envelope, known.attempts, error)
    else this.#report.duplicate(record, envelope, known.attempts)
  }
}

/** Attempts in the topics before count, too. */
const triedBefore = ({ retried }: Pick<Subject, 'retried'>, { attempts, kills }: Attempts): Attempts => ({
  attempts: attempts + (retried?.attempts ?? 0),
  kills,
})

const handlerGone = ({ type }: Envelope): OutboxError =>
  new OutboxError('CONSUMER_HANDLER_MISSING', `no handler for ${type}`)
