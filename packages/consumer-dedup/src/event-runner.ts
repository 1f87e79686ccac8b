import { delay, faultPoint, nextDelayMs, OutboxError, type Envelope, type SqlConnection } from '@oncebox/core'
import { attemptKey, type AttemptStore, type Attempts, type KnownAttempts } from './attempt-store.js'
import { emitDeadLetterCopy } from './dead-letter-topic.js'
import { causeOf, storeDeadLetter } from './dead-letter.js'
import { decode } from './decode.js'
import { runEffect, type EffectOutcome } from './effect.js'
import type { AnyHandler, ConsumedEvent } from './event.js'
import { markKeyOf, type MarkKey } from './mark-key.js'
import type { ResolvedConsumerOptions } from './options.js'
import { headersAsText, type ConsumerRecord } from './record.js'
import type { Reporter } from './report.js'
import { text } from './text.js'

/** What the partition of an event lends it. */
export interface EventContext {
  readonly token: string
  readonly signal: AbortSignal
  /** Somebody died over the batch that this event was in: it gets a started-record of its own. */
  readonly alone: boolean
  readonly known: KnownAttempts
  readonly onBackend: (backend: number | undefined) => void
}

/** An event in hand. */
interface Subject {
  readonly record: ConsumerRecord
  readonly envelope: Envelope
  readonly mark: MarkKey
}

// Serialization failures and deadlocks are run again so often, 5 ms to 1 s apart, before they count as an attempt.
const rerunsMax = 30
const rerunBackoff = { minMs: 5, maxMs: 1_000 }

/** Brings one event to its end: effect, duplicate, skipped or dead letter. */
export class EventRunner<Tx> {
  readonly #options: ResolvedConsumerOptions<Tx>
  readonly #handlers: ReadonlyMap<string, AnyHandler<Tx>>
  readonly #attempts: AttemptStore
  readonly #report: Reporter

  constructor(
    options: ResolvedConsumerOptions<Tx>,
    handlers: ReadonlyMap<string, AnyHandler<Tx>>,
    attempts: AttemptStore,
    report: Reporter,
  ) {
    this.#options = options
    this.#handlers = handlers
    this.#attempts = attempts
    this.#report = report
  }

  /**
   * Resolves when the event is finished and the position may pass it.
   * @throws the signal's reason when the event was given up in good order; OutboxError CONSUMER_POSITION_LOST or
   *   CONSUMER_DATABASE_UNAVAILABLE when the position has to be read again.
   */
  async run(record: ConsumerRecord, context: EventContext): Promise<void> {
    const topic = this.#options.topics.get(record.topic)
    if (topic === undefined) return
    const decoded = await decode(topic, record, (type) => this.#handlers.has(type))
    const subject: Subject = { record, envelope: decoded.envelope, mark: markKeyOf(decoded.envelope) }
    switch (decoded.kind) {
      case 'skipped':
        this.#report.skipped(record, { ...decoded.envelope, attempt: 0 })
        return
      case 'invalid':
        return await this.#giveUp(subject, context, { attempts: 0, kills: 0 }, decoded.error)
      case 'event':
        return await this.#runEvent(subject, context, decoded.payload)
    }
  }

  async #runEvent(subject: Subject, context: EventContext, payload: unknown): Promise<void> {
    const alone = { isStarted: false }
    try {
      await this.#tryEvent(subject, context, payload, alone)
    } catch (error) {
      // Stopped, revoked, or the database is away: nobody died over this event.
      if (alone.isStarted) await this.#attempts.leaveAlone(subject.mark)
      throw error
    }
  }

  async #tryEvent(
    subject: Subject,
    context: EventContext,
    payload: unknown,
    alone: { isStarted: boolean },
  ): Promise<void> {
    const { record, envelope, mark } = subject
    let known = context.known.get(attemptKey(mark)) ?? { attempts: 0, kills: 0 }
    for (let reruns = 0; ;) {
      context.signal.throwIfAborted()
      if (context.alone && !alone.isStarted) {
        known = await this.#startAlone(subject, context)
        alone.isStarted = true
        if (known.kills >= this.#options.killsMax)
          return await this.#giveUp(subject, context, known, killed(subject, known))
      }
      const attempt = known.attempts + 1
      const outcome = await this.#attempt(subject, context, payload, attempt)
      if (outcome.kind !== 'failed') {
        context.known.delete(attemptKey(mark))
        const what = { ...envelope, attempt }
        return outcome.kind === 'handled'
          ? this.#report.handled(record, what)
          : this.#report.duplicate(record, what)
      }
      if (outcome.failure === 'database') throw unavailable(outcome.error)
      if (context.signal.aborted) throw context.signal.reason
      if (outcome.failure === 'permanent')
        return await this.#giveUp(subject, context, { ...known, attempts: attempt }, outcome.error)
      if (outcome.failure === 'again' && reruns < rerunsMax) {
        reruns += 1
        await delay(nextDelayMs(rerunBackoff, reruns))
        continue
      }
      known = await this.#fail(subject, context, outcome.error)
      alone.isStarted = false
      if (known.attempts >= this.#options.attemptsMax)
        return await this.#giveUp(subject, context, known, outcome.error)
      this.#report.retrying(record, { ...envelope, attempt }, outcome.error)
      await delay(nextDelayMs(this.#options.backoff, known.attempts), context.signal).catch(() => undefined)
    }
  }

  #attempt(
    { record, envelope, mark }: Subject,
    context: EventContext,
    payload: unknown,
    attempt: number,
  ): Promise<EffectOutcome> {
    const handler = this.#handlers.get(envelope.type)
    const event: ConsumedEvent = { ...envelope, payload, metadata: { ...metadataOf(record), attempt } }
    const effect = {
      mark,
      token: context.token,
      onBackend: context.onBackend,
      work: async (tx: Tx) => {
        // The registry is keyed by type, and `on` has tied the type to the handler's event.
        await handler?.(event as ConsumedEvent<never, never>, { tx, signal: context.signal })
      },
      finish: this.#endOf(mark, context),
    }
    return this.#report.handling(record, { ...envelope, attempt }, () => runEffect(this.#options, effect))
  }

  /** Attempts end with the event, in its transaction; an event that never failed has none. */
  #endOf(mark: MarkKey, context: EventContext): ((connection: SqlConnection) => Promise<void>) | undefined {
    return context.alone || context.known.has(attemptKey(mark))
      ? (connection) => this.#attempts.end(connection, mark)
      : undefined
  }

  async #startAlone({ record, mark }: Subject, context: EventContext): Promise<Attempts> {
    const known = await orUnavailable(this.#attempts.startAlone(mark, record))
    context.known.set(attemptKey(mark), known)
    await faultPoint('consumer.attempt.started')
    return known
  }

  async #fail({ record, mark }: Subject, context: EventContext, error: unknown): Promise<Attempts> {
    const known = await orUnavailable(this.#attempts.fail(mark, record, causeOf(error)))
    context.known.set(attemptKey(mark), known)
    return known
  }

  /** The dead letter, its mark and its copy for the dead-letter topic: one transaction. */
  async #giveUp(subject: Subject, context: EventContext, known: Attempts, error: unknown): Promise<void> {
    const { record, envelope, mark } = subject
    const { deadLetterTopic, outbox, name } = this.#options
    let letter = { consumer: name, envelope, record, ...known, ...causeOf(error) }
    let isCopied = deadLetterTopic !== undefined && outbox !== undefined
    for (let reruns = 0; ;) {
      const outcome = await runEffect(this.#options, {
        mark,
        token: context.token,
        onBackend: context.onBackend,
        work: async (_tx, connection) => {
          await storeDeadLetter(connection, mark, letter)
          if (isCopied && deadLetterTopic !== undefined && outbox !== undefined)
            await emitDeadLetterCopy(connection, outbox, deadLetterTopic, letter)
        },
        finish: this.#endOf(mark, context),
      })
      if (outcome.kind !== 'failed') {
        context.known.delete(attemptKey(mark))
        const what = { ...envelope, attempt: known.attempts }
        return outcome.kind === 'handled'
          ? this.#report.deadLettered(record, what, error)
          : this.#report.duplicate(record, what)
      }
      if (outcome.failure === 'attempt' && isCopied) {
        // The outbox refuses this copy for good (a tombstone without a key, say). The copy is information for others;
        // the letter is kept, and says so, rather than hold the partition for ever.
        isCopied = false
        letter = {
          ...letter,
          reason: `${letter.reason} (no copy on ${deadLetterTopic}: ${causeOf(outcome.error).reason})`,
        }
        continue
      }
      // Never skipped: what cannot even be stored as a dead letter holds its partition, and says why.
      if (outcome.failure !== 'again' || reruns >= rerunsMax) throw unavailable(outcome.error)
      reruns += 1
      await delay(nextDelayMs(rerunBackoff, reruns), context.signal)
    }
  }
}

/** The place of a record, as handlers see it. */
export function metadataOf(record: ConsumerRecord): Omit<ConsumedEvent['metadata'], 'attempt'> {
  return {
    topic: record.topic,
    partition: record.partition,
    offset: String(record.offset),
    timestamp: record.timestamp,
    key: record.key === null ? null : text(record.key),
    headers: headersAsText(record.headers),
  }
}

function killed({ record, envelope }: Subject, { kills }: Attempts): OutboxError {
  return new OutboxError(
    'CONSUMER_HANDLER_KILLED',
    `${kills} processes ended while they handled event ${envelope.id} alone`,
    {
      details: {
        id: envelope.id,
        topic: record.topic,
        partition: record.partition,
        offset: String(record.offset),
        kills,
      },
    },
  )
}

function unavailable(cause: unknown): OutboxError {
  if (OutboxError.is(cause, 'CONSUMER_POSITION_LOST')) return cause
  return new OutboxError(
    'CONSUMER_DATABASE_UNAVAILABLE',
    'the database did not answer, or nobody knows what it has committed',
    { cause },
  )
}

async function orUnavailable<Result>(statement: Promise<Result>): Promise<Result> {
  try {
    return await statement
  } catch (error) {
    throw unavailable(error)
  }
}
