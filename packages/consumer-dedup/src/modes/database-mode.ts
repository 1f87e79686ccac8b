import { checkMigrations } from '@oncebox/outbox'
import type { DatabaseContext } from '../event.js'
import type { Handlers } from '../handlers.js'
import { AttemptStore } from '../failing/attempts-in-database.js'
import { inboxMigrations } from '../migrate.js'
import { eventsTogetherMax, type ResolvedDatabaseOptions } from '../resolved-options.js'
import { endBackend } from '../sql/end-backend.js'
import { readDatabaseLife } from '../redis/database-life.js'
import { DatabasePosition } from '../positions/database-position.js'
import { readStarts } from '../positions/database-starts.js'
import { LowWaters } from '../housekeeping/low-waters.js'
import { MarkHousekeeper, type ReadLags } from '../housekeeping/mark-housekeeper.js'
import { stateWindow } from '../sql/state-window.js'
import { Drainer } from '../parking/drainer.js'
import { ParkingLot } from '../parking/parking-lot.js'
import { PositionStore } from '../positions/position-store.js'
import type { Reporter } from '../report.js'
import { beginningOf } from '../positions/beginning-of.js'
import type { DatabasePartition } from './database-partition.js'
import { FilteredInboxPartition, type FilterInFront } from './filtered-inbox.js'
import { InboxPartition } from './inbox.js'
import type { Background, Generation, Mode } from './mode.js'
import { PositionPartition } from './position.js'
import { together } from './together.js'

/** The modes `inbox` and `position`: effects, positions, attempts and dead letters are in one database. */
export class DatabaseMode<Tx> implements Mode<DatabaseContext<Tx>> {
  readonly #options: ResolvedDatabaseOptions<Tx>
  readonly #positions: PositionStore
  readonly #attempts: AttemptStore

  readonly #lot: ParkingLot
  readonly #lowWaters = new LowWaters()

  readonly eventsTogetherMax: number

  constructor(options: ResolvedDatabaseOptions<Tx>) {
    this.eventsTogetherMax = options.mode === 'position' ? eventsTogetherMax : 1
    this.#options = options
    this.#positions = new PositionStore(options.db.outside, options.name, options.sessionTimeoutMs)
    this.#attempts = new AttemptStore(options.db.outside, options.name)
    this.#lot = new ParkingLot(options)
  }

  async prepare(): Promise<void> {
    const { db, mode, name, marks } = this.#options
    await checkMigrations(db.outside, inboxMigrations)
    if (mode === 'inbox') await db.outside.query(stateWindow, [name, String(marks.windowMs), false])
  }

  async open(
    { assignment, topicOffsets }: Generation,
    topic: string,
    partitions: readonly number[],
    signal: AbortSignal,
  ): Promise<readonly DatabasePartition<Tx>[]> {
    const front = await this.#filterInFront()
    const starts = await readStarts(
      this.#positions,
      topicOffsets,
      topic,
      partitions,
      beginningOf(this.#options, topic),
      signal,
    )
    return await Promise.all(
      starts.map(async (start) => {
        const position = new DatabasePosition(this.#positions, assignment, start)
        const attempts = await this.#attempts.open(start.key)
        if (this.#options.mode === 'position')
          return new PositionPartition(this.#options, position, attempts, this.#lot)
        return front === undefined
          ? new InboxPartition(this.#options, position, attempts, this.#lot, this.#lowWaters)
          : new FilteredInboxPartition(this.#options, position, attempts, this.#lot, this.#lowWaters, front)
      }),
    )
  }

  startBackground(handlers: Handlers<DatabaseContext<Tx>>, report: Reporter, readLags: ReadLags): Background {
    const drainer = new Drainer(this.#options, this.#lot, handlers, report)
    if (this.#options.mode === 'position') return drainer
    return together(drainer, new MarkHousekeeper(this.#options, this.#lowWaters, readLags, report))
  }

  /** The life is read before the positions are: they are of this one or a later one. */
  async #filterInFront(): Promise<FilterInFront | undefined> {
    const { filter, db } = this.#options
    if (filter === undefined) return undefined
    await this.#positions.lifeToken() // makes it, after a crash
    const life = await readDatabaseLife(db.outside)
    return life === undefined ? undefined : { filter, life }
  }

  async endBackends(backends: readonly number[]): Promise<void> {
    const { outside } = this.#options.db
    await Promise.allSettled(backends.map((backend) => outside.query(endBackend, [backend])))
  }
}
