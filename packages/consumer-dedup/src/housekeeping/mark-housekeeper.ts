import { delay, type MarksKeptMessage } from '@oncebox/core'
import type { PartitionLag } from '../lag/partition-lag.js'
import type { Background } from '../modes/mode.js'
import type { Reporter } from '../report.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import { keepMarks, readClock } from '../sql/keep-marks.js'
import { raiseLowWaters } from '../sql/raise-low-waters.js'
import type { LowWaters } from './low-waters.js'

export type ReadLags = (signal: AbortSignal) => Promise<readonly PartitionLag[]>

type Kept = Omit<MarksKeptMessage, 'consumer' | 'oldestMs'> & {
  /** Null: another process is at it. */
  readonly oldestMs: number | null
}

/**
 * Keeps the table of dedup marks small, for as long as a consumer in mode `inbox` runs: says how far it has come, and has days
 * emptied that are behind every consumer's window. Every process does; the database lets one at a time.
 */
export class MarkHousekeeper<Tx> implements Background {
  readonly backends: readonly number[] = []
  readonly #options: Pick<ResolvedDatabaseOptions<Tx>, 'db' | 'name' | 'marks'>
  readonly #lowWaters: LowWaters
  readonly #readLags: ReadLags
  readonly #report: Reporter
  readonly #stopping = new AbortController()
  readonly #finished: Promise<void>

  constructor(
    options: Pick<ResolvedDatabaseOptions<Tx>, 'db' | 'name' | 'marks'>,
    lowWaters: LowWaters,
    readLags: ReadLags,
    report: Reporter,
  ) {
    this.#options = options
    this.#lowWaters = lowWaters
    this.#readLags = readLags
    this.#report = report
    this.#finished = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#finished
  }

  abort(): void {
    this.#stopping.abort()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        await this.#keep(signal)
      } catch (error) {
        if (!signal.aborted) this.#report.restarting(error) // the next time is soon enough
      }
      await delay(this.#options.marks.intervalMs, signal).catch(() => undefined)
    }
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { db, name } = this.#options
    // The time first: where nothing was to come, nothing was at this time.
    const clock = await db.outside.query<{ now: Date }>(readClock)
    const now = clock.rows[0]?.now
    const lows = now === undefined ? [] : this.#lowWaters.take(await this.#readLags(signal), now)
    if (lows.length > 0)
      await db.outside.query(raiseLowWaters, [
        name,
        lows.map(({ topicId }) => topicId),
        lows.map(({ partition }) => partition),
        lows.map(({ at }) => at),
        lows.map(({ next }) => next),
      ])
    const [kept] = (await db.outside.query<Kept>(keepMarks)).rows
    if (kept !== undefined && kept.oldestMs !== null)
      this.#report.marksKept({ ...kept, oldestMs: kept.oldestMs })
  }
}
