import { delay, faultPoint, LinkedSignal, nextDelayMs, OutboxError, type SqlConnection } from '@oncebox/core'
import type { DatabaseContext } from '../event.js'
import { buryEvent } from '../failing/bury-event.js'
import { classifyHandlerError, holdsPartition } from '../failing/failure.js'
import { handlerKilled } from '../failing/handler-killed.js'
import { rerun } from '../failing/rerun.js'
import { decodeStored } from '../failing/stored-event.js'
import type { Handlers } from '../handlers.js'
import { runEffect, type Effect } from '../modes/effect.js'
import type { EffectOutcome, Subject } from '../modes/partition-effects.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { consumedEvent } from '../records/consumed-event.js'
import type { DecodedSubject } from '../records/decoded-subject.js'
import type { Reporter } from '../report.js'
import { aloneTurn } from '../running/alone.js'
import { delayOf } from './delay-of.js'
import type { ClaimedEvent, ParkedEvents } from './parked-events.js'

const unavailableMs = 1_000
const releaseBackoff = { minMs: 100, maxMs: 2_000 }

interface Run<Tx> extends Pick<Effect<Tx>, 'work'> {
  readonly isHeld?: (connection: SqlConnection) => Promise<boolean>
  readonly finish: (connection: SqlConnection) => Promise<void>
}

/** Brings one run of a parked event to its end: effect, next delay, or dead letter. */
export class DrainRunner<Tx> {
  readonly backends = new Set<number>()
  readonly #options: ResolvedDatabaseOptions<Tx>
  readonly #parked: ParkedEvents
  readonly #handlers: Handlers<DatabaseContext<Tx>>
  readonly #report: Reporter
  readonly #aborting = new AbortController()

  constructor(
    options: ResolvedDatabaseOptions<Tx>,
    parked: ParkedEvents,
    handlers: Handlers<DatabaseContext<Tx>>,
    report: Reporter,
  ) {
    this.#options = options
    this.#parked = parked
    this.#handlers = handlers
    this.#report = report
  }

  abort(reason: Error): void {
    this.#aborting.abort(reason)
  }

  /** Never throws: what could not be told to the database is found out when the lease has run out. */
  async run(event: ClaimedEvent): Promise<void> {
    using lost = new LinkedSignal(this.#aborting.signal)
    const { signal } = lost
    const { sessionTimeoutMs } = this.#options
    const timer = setInterval(() => {
      this.#parked.renew(event).then(
        (isHeld) => {
          if (!isHeld) lost.abort(withSomebodyElse(event))
        },
        () => undefined, // tried again, until the lease has run out
      )
    }, sessionTimeoutMs / 3)
    try {
      await this.#run(event, signal)
    } catch (error) {
      await this.#release(event, signal, error)
    } finally {
      clearInterval(timer)
    }
  }

  /** @throws what says that the event has to be run another time, and that this was no attempt */
  async #run(event: ClaimedEvent, signal: AbortSignal): Promise<void> {
    await faultPoint('consumer.drain.claimed')
    const decoded = await decodeStored(this.#options.topics, this.#handlers, event)
    const { subject } = decoded
    if (event.kills >= this.#options.killsMax)
      return await this.#bury(event, subject, handlerKilled(subject, event), signal)
    if (decoded.kind === 'unusable') return await this.#failed(event, subject, decoded.error, signal)
    using _turn = event.suspect ? await aloneTurn.take(signal) : undefined
    if (event.suspect && !(await this.#parked.startAlone(event))) return // with somebody else
    signal.throwIfAborted()
    const outcome = await rerun(signal, () => this.#attempt(event, decoded.subject, signal))
    if (outcome.kind === 'handled')
      return this.#report.unparked(subject.record, subject.envelope, event.attempts + 1)
    if (outcome.kind !== 'failed') return // with somebody else
    if (holdsPartition(outcome.failure)) throw outcome.error
    signal.throwIfAborted()
    await this.#failed(event, subject, outcome.error, signal)
  }

  #attempt(event: ClaimedEvent, subject: DecodedSubject, signal: AbortSignal): Promise<EffectOutcome> {
    const attempt = event.attempts + 1
    const consumed = consumedEvent(subject, attempt)
    return this.#report.handling(subject.record, subject.envelope, attempt, () =>
      this.#inTransaction(event, {
        work: (tx) => this.#handlers.run(consumed, { tx, signal }),
        finish: async (connection) => {
          if (!(await this.#parked.end(connection, event))) throw withSomebodyElse(event)
          await this.#parked.leave(connection, event)
          await faultPoint('consumer.drain.ended')
        },
      }),
    )
  }

  async #failed(event: ClaimedEvent, subject: Subject, error: unknown, signal: AbortSignal): Promise<void> {
    await faultPoint('consumer.drain.failed')
    const failed = { ...event, attempts: event.attempts + 1, retries: event.retries + 1 }
    const { parking, retryRule } = this.#options
    const isLast = failed.retries >= (parking?.attemptsMax ?? 1)
    if (isLast || classifyHandlerError(error, retryRule) === 'permanent')
      return await this.#bury(failed, subject, error, signal)
    await this.#parked.fail(event, delayOf(parking, failed.retries), error)
    this.#report.retrying(subject.record, subject.envelope, failed.attempts, error)
  }

  /** The event becomes a dead letter, and its key goes on. */
  async #bury(event: ClaimedEvent, subject: Subject, error: unknown, signal: AbortSignal): Promise<void> {
    const { attempts, kills } = event
    const outcome = await buryEvent(
      this.#options,
      { subject, known: { attempts, kills }, error, signal },
      (work) =>
        this.#inTransaction(event, {
          isHeld: (connection) => this.#parked.isHeld(connection, event),
          work: (_tx, connection) => work(connection),
          finish: (connection) => this.#parked.leave(connection, event),
        }),
    )
    if (outcome.kind === 'failed') throw outcome.error
    if (outcome.kind === 'handled')
      this.#report.deadLettered(subject.record, subject.envelope, attempts, error)
  }

  /** With the key locked. */
  async #inTransaction(event: ClaimedEvent, { isHeld, work, finish }: Run<Tx>): Promise<EffectOutcome> {
    let backend: number | undefined
    let isOurs = false
    try {
      return await runEffect(this.#options, {
        decide: async (connection) => {
          backend = await this.#parked.lock(connection, event)
          if (backend === undefined) return false
          this.backends.add(backend)
          isOurs = (await isHeld?.(connection)) ?? true
          return isOurs
        },
        work,
        finish: async (connection) => {
          if (isOurs) await finish(connection)
        },
      })
    } finally {
      if (backend !== undefined) this.backends.delete(backend)
    }
  }

  async #release(event: ClaimedEvent, signal: AbortSignal, error: unknown): Promise<void> {
    const isStopped = signal.aborted
    if (!isStopped) this.#report.restarting(error)
    const endMs = performance.now() + this.#options.sessionTimeoutMs
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.#parked.release(event, isStopped ? 0 : unavailableMs)
      } catch {
        // Until the lease has run out: an event that ran alone would look like a kill.
        if (this.#aborting.signal.aborted || performance.now() >= endMs) return
        await delay(nextDelayMs(releaseBackoff, failures), this.#aborting.signal).catch(() => undefined)
      }
    }
  }
}

const withSomebodyElse = ({ number }: ClaimedEvent): OutboxError =>
  new OutboxError('CONSUMER_REVOKED', `parked event ${number} is with somebody else by now`)
