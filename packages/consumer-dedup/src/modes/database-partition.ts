import { OutboxError, type SqlConnection, type SqlResult, type Statement } from '@oncebox/core'
import type { DatabaseContext } from '../event.js'
import type { AttemptsInDatabase } from '../failing/attempts-in-database.js'
import { buryEvent } from '../failing/bury-event.js'
import { causeOf } from '../failing/dead-letter.js'
import { sqlState } from '../failing/failure.js'
import { rerun } from '../failing/rerun.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { keyParked, type ParkingLot } from '../parking/parking-lot.js'
import { ParkedKeys } from '../parking/parked-keys.js'
import { ZombieWatch } from '../positions/zombie-watch.js'
import type { DatabasePosition } from '../positions/database-position.js'
import type { PartitionKey } from '../positions/position-store.js'
import { forwardThroughOutbox } from '../retrying/open-retries.js'
import { originRecord } from '../retrying/origin-record.js'
import { runEffect, type Effect } from './effect.js'
import type {
  Attempt,
  BatchAttempt,
  BatchOutcome,
  EffectOutcome,
  GivenUp,
  PartitionEffects,
  Forwarding,
  Subject,
} from './partition-effects.js'

// The outbox takes no such event, whenever it is tried: a tombstone without a key, say.
const refusedData = /^2[23]/

const none: ReadonlySet<Subject> = new Set()

/** What decides, first in a transaction, whether there is something to do. */
export interface Decision<Answer> {
  readonly answer: Answer
  /** The server process of the transaction. */
  readonly backend: number
}

/** An effect whose decision names its server process. */
type Deciding<Tx> = Pick<Effect<Tx>, 'opening' | 'work'> & {
  readonly decide: (connection: SqlConnection, opened?: SqlResult<object>) => Promise<Decision<boolean>>
}

/** A partition whose events take effect in transactions of the consumer's database. Modes differ in what decides. */
export abstract class DatabasePartition<Tx> implements PartitionEffects<DatabaseContext<Tx>> {
  readonly attempts: AttemptsInDatabase
  protected readonly options: ResolvedDatabaseOptions<Tx>
  protected readonly position: DatabasePosition
  readonly #backends = new Set<number>()
  readonly #lot: ParkingLot
  readonly #parkedKeys: ParkedKeys
  readonly #zombies: ZombieWatch

  constructor(
    options: ResolvedDatabaseOptions<Tx>,
    position: DatabasePosition,
    attempts: AttemptsInDatabase,
    lot: ParkingLot,
  ) {
    this.options = options
    this.position = position
    this.attempts = attempts
    this.#lot = lot
    this.#parkedKeys = new ParkedKeys(lot)
    this.#zombies = new ZombieWatch(options.db.outside, options.sessionTimeoutMs)
  }

  get key(): PartitionKey {
    return this.position.key
  }

  get next(): bigint {
    return this.position.next
  }

  get aloneUntil(): bigint {
    return this.position.aloneUntil
  }

  get backends(): Iterable<number> {
    return this.#backends
  }

  begin(end: bigint): Promise<void> {
    return this.position.begin(end)
  }

  pass(next: bigint, end: bigint): Promise<void> {
    return this.position.pass(next, end)
  }

  close(): Promise<void> {
    return this.position.close()
  }

  async attempt({ subject, signal, work }: Attempt<DatabaseContext<Tx>>): Promise<EffectOutcome> {
    const known = this.attempts.of(subject.mark) ?? { attempts: 0, kills: 0 }
    let isParked = false
    const outcome = await this.#run(subject, {
      opening: this.opening(subject),
      decide: async (connection, opened) => {
        const decision = await this.decide(connection, subject, opened)
        isParked = decision.answer && (await this.#parkedKeys.have(connection, [subject]))
        if (isParked) await this.#lot.park(connection, subject, known, keyParked())
        return decision
      },
      work: async (tx) => {
        if (!isParked) await work({ tx, signal })
      },
    })
    return this.#parkedOr(outcome, isParked)
  }

  async park({ subject, known, error, signal }: GivenUp): Promise<EffectOutcome> {
    const outcome = await rerun(signal, () =>
      this.#run(subject, {
        decide: async (connection) => {
          const decision = await this.decide(connection, subject)
          if (decision.answer) await this.#lot.park(connection, subject, known, error)
          return decision
        },
        work: () => Promise.resolve(),
      }),
    )
    return this.#parkedOr(outcome, true)
  }

  async forward({ subject, known, error, signal, tier }: Forwarding): Promise<EffectOutcome> {
    const { name, outbox } = this.options
    if (outbox === undefined) return { kind: 'failed', failure: 'permanent', error }
    const record = originRecord(subject)
    const letter = { consumer: name, envelope: subject.envelope, record, ...known, ...causeOf(error) }
    const outcome = await rerun(signal, () =>
      this.#run(subject, {
        decide: async (connection) => {
          const decision = await this.decide(connection, subject)
          if (decision.answer) await forwardThroughOutbox(connection, outbox, letter, tier)
          return decision
        },
        work: () => Promise.resolve(),
      }),
    )
    const isRefused = outcome.kind === 'failed' && refusedData.test(sqlState(outcome.error) ?? '')
    return isRefused ? { ...outcome, failure: 'permanent' } : outcome
  }

  async giveUp(event: GivenUp): Promise<EffectOutcome> {
    const { subject } = event
    const bury = (
      decide: (connection: SqlConnection) => Promise<Decision<boolean>>,
    ): Promise<EffectOutcome> =>
      buryEvent(this.options, event, (work) =>
        this.#run(subject, { decide, work: (_tx, connection) => work(connection) }),
      )
    const outcome = await bury((connection) => this.decide(connection, subject))
    const isRefused = outcome.kind === 'failed' && OutboxError.is(outcome.error, 'CONSUMER_EVENT_TOO_OLD')
    return isRefused ? await bury((connection) => this.decideUnmarked(connection, subject)) : outcome
  }

  async attemptTogether({
    subjects,
    next,
    signal,
    work,
  }: BatchAttempt<DatabaseContext<Tx>>): Promise<BatchOutcome> {
    let fresh: readonly Subject[] = []
    let isKeyParked = false
    const outcome = await this.#inTransaction({
      decide: async (connection) => {
        const decided = await this.decideTogether(connection, subjects, next)
        fresh = decided.answer
        isKeyParked = await this.#parkedKeys.have(connection, fresh)
        if (isKeyParked) throw keyParked()
        return { answer: fresh.length > 0, backend: decided.backend }
      },
      work: (tx) => work(fresh, { tx, signal }),
    })
    // Of a batch with such a key each event is run alone: some have to wait, the others go on.
    if (isKeyParked) return { kind: 'failed', failure: 'attempt', error: keyParked() }
    if (outcome.kind === 'failed') return outcome
    this.endedTogether(next)
    if (fresh.length === subjects.length) return { kind: 'handled', duplicates: none }
    this.somebodyWasHere()
    const isFresh = new Set(fresh)
    return { kind: 'handled', duplicates: new Set(subjects.filter((subject) => !isFresh.has(subject))) }
  }

  /** The statement with which {@link decide} begins, where it is one that comes with every event. */
  protected abstract opening(subject: Subject): Statement | undefined
  /**
   * Whether the event is new. First in its transaction.
   * @param opened What its opening statement has answered, where that has been run
   */
  protected abstract decide(
    connection: SqlConnection,
    subject: Subject,
    opened?: SqlResult<object>,
  ): Promise<Decision<boolean>>
  /** Whether the event is no dead letter yet, where its mark is refused. First statement of its transaction. */
  protected decideUnmarked(connection: SqlConnection, subject: Subject): Promise<Decision<boolean>> {
    return this.decide(connection, subject)
  }
  /** Those that are new. First statement of their transaction. */
  protected abstract decideTogether(
    connection: SqlConnection,
    subjects: readonly Subject[],
    next: bigint,
  ): Promise<Decision<readonly Subject[]>>
  /** The transaction of an event is committed. */
  protected ended(_subject: Subject): void {}
  /** The transaction of a batch is committed. */
  protected endedTogether(_next: bigint): void {}
  /** Of a duplicate: whoever handled the event may have parked it. */
  protected somebodyWasHere(): void {
    this.#parkedKeys.suspect()
  }

  async #run(subject: Subject, effect: Deciding<Tx>): Promise<EffectOutcome> {
    const outcome = await this.#inTransaction(effect, (connection) =>
      this.attempts.end(connection, subject.mark),
    )
    if (outcome.kind !== 'failed') this.ended(subject)
    if (outcome.kind === 'duplicate') this.somebodyWasHere()
    return outcome
  }

  #parkedOr(outcome: EffectOutcome, isParked: boolean): EffectOutcome {
    if (!isParked || outcome.kind !== 'handled') return outcome
    this.#lot.parked()
    return { kind: 'parked' }
  }

  async #inTransaction(
    { opening, decide, work }: Deciding<Tx>,
    finish?: Effect<Tx>['finish'],
  ): Promise<EffectOutcome> {
    let backend: number | undefined
    // From BEGIN on: the statement that may have to wait for a zombie can be in the same message.
    const waiting = this.#zombies.begin()
    try {
      return await runEffect(this.options, {
        opening,
        decide: async (connection, opened) => {
          const decided = await decide(connection, opened)
          this.#zombies.end(waiting)
          backend = decided.backend
          this.#backends.add(backend)
          return decided.answer
        },
        work,
        finish,
      })
    } finally {
      this.#zombies.end(waiting)
      if (backend !== undefined) this.#backends.delete(backend)
    }
  }
}
