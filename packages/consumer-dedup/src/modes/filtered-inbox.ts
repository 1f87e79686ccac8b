import type { SqlConnection, SqlResult } from '@oncebox/core'
import type { DatabaseContext } from '../event.js'
import type { AttemptsInDatabase } from '../failing/attempts-in-database.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import type { LowWaters } from '../housekeeping/low-waters.js'
import type { ParkingLot } from '../parking/parking-lot.js'
import type { DatabasePosition } from '../positions/database-position.js'
import { positionLost } from '../positions/position-store.js'
import { withoutZombies } from '../positions/without-zombies.js'
import { readDatabaseLife } from '../redis/database-life.js'
import type { InboxFilter } from '../redis/filter.js'
import type { Decision } from './database-partition.js'
import { InboxPartition } from './inbox.js'
import type { Attempt, BatchAttempt, BatchOutcome, EffectOutcome, Subject } from './partition-effects.js'

/** What a partition remembers before it tells the filter, at the latest. */
const rememberedMax = 1_000

export interface FilterInFront {
  readonly filter: InboxFilter
  /** The life of the database, read before its position was. */
  readonly life: string
}

/**
 * `inbox` behind a filter: events that the filter knows are duplicates without asking the database.
 *
 * That is true only in the life of the database that the filter was told. So once an event was kept away, nothing takes
 * effect behind it, and the position does not pass it, unless the database says in the same transaction that it still
 * lives that life.
 */
export class FilteredInboxPartition<Tx> extends InboxPartition<Tx> {
  readonly #filter: InboxFilter
  readonly #life: string
  /** Since the position moved last. */
  #hasKeptAway = false
  #done: Subject['mark'][] = []

  constructor(
    options: ResolvedDatabaseOptions<Tx>,
    position: DatabasePosition,
    attempts: AttemptsInDatabase,
    lot: ParkingLot,
    lowWaters: LowWaters,
    { filter, life }: FilterInFront,
  ) {
    super(options, position, attempts, lot, lowWaters)
    this.#filter = filter
    this.#life = life
  }

  override async attempt(attempt: Attempt<DatabaseContext<Tx>>): Promise<EffectOutcome> {
    const { subject } = attempt
    // Whether a copy in a retry topic is still to be handled only the database knows.
    if (subject.retried !== undefined) return await super.attempt(attempt)
    // What has failed before has rows that end with it.
    const isKnown =
      this.attempts.of(subject.mark) === undefined && (await this.#knows([subject])).has(subject)
    if (isKnown) return { kind: 'duplicate' }
    const outcome = await super.attempt(attempt)
    if (outcome.kind !== 'failed') await this.#remember([subject])
    return outcome
  }

  override async attemptTogether(attempt: BatchAttempt<DatabaseContext<Tx>>): Promise<BatchOutcome> {
    const known = await this.#knows(attempt.subjects)
    const subjects = attempt.subjects.filter((subject) => !known.has(subject))
    if (subjects.length === 0) return { kind: 'handled', duplicates: known }
    const outcome = await super.attemptTogether({ ...attempt, subjects })
    if (outcome.kind === 'failed') return outcome
    await this.#remember(subjects)
    return { kind: 'handled', duplicates: new Set([...known, ...outcome.duplicates]) }
  }

  override async pass(next: bigint, end: bigint): Promise<void> {
    if (this.#hasKeptAway) await this.#passInThisLife(next)
    await super.pass(next, end)
    await this.#tell()
  }

  protected override async decide(
    connection: SqlConnection,
    subject: Subject,
    opened?: SqlResult<object>,
  ): Promise<Decision<boolean>> {
    const decision = await super.decide(connection, subject, opened)
    if (this.#hasKeptAway) await this.#assertLife(connection)
    return decision
  }

  protected override async decideTogether(
    connection: SqlConnection,
    subjects: readonly Subject[],
  ): Promise<Decision<readonly Subject[]>> {
    const decision = await super.decideTogether(connection, subjects)
    if (this.#hasKeptAway) await this.#assertLife(connection)
    return decision
  }

  async #passInThisLife(next: bigint): Promise<void> {
    const { db, sessionTimeoutMs } = this.options
    await db.transaction(async (tx) => {
      const connection = db.inside(tx)
      await withoutZombies(db.outside, sessionTimeoutMs, this.position.moveInside(connection, next))
      await this.#assertLife(connection)
    })
    this.position.moved(next)
    this.#hasKeptAway = false
  }

  async #assertLife(connection: SqlConnection): Promise<void> {
    if ((await readDatabaseLife(connection)) !== this.#life) throw positionLost(this.key, this.position.next)
  }

  async #knows(subjects: readonly Subject[]): Promise<ReadonlySet<Subject>> {
    const known = await this.#filter.knows(
      this.#life,
      subjects.map(({ mark }) => mark),
    )
    const kept = new Set(subjects.filter((_, index) => known[index]))
    if (kept.size > 0) {
      this.#hasKeptAway = true
      this.somebodyWasHere()
    }
    return kept
  }

  /** Their marks are committed: the filter is told with the next move of the position, of many at once. */
  async #remember(subjects: readonly Subject[]): Promise<void> {
    this.#done.push(...subjects.map(({ mark }) => mark))
    if (this.#done.length >= rememberedMax) await this.#tell()
  }

  async #tell(): Promise<void> {
    const done = this.#done
    this.#done = []
    for (let from = 0; from < done.length; from += rememberedMax)
      await this.#filter.remember(this.#life, done.slice(from, from + rememberedMax))
  }
}
