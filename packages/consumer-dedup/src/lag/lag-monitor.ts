import { channels, delay } from '@oncebox/core'
import type { PartitionAddress } from '@oncebox/kafka'
import type { ResolvedCommonOptions } from '../resolved-options.js'
import type { Reporter } from '../report.js'
import type { PartitionLag } from './partition-lag.js'

/** What a member has at this moment. */
export interface LagReading {
  readonly assigned: readonly PartitionAddress[]
  /** Not of partitions whose position is being read. */
  readonly lags: readonly PartitionLag[]
}

/** Looks how far the partitions of a consumer are behind, for as long as it runs, where somebody wants to know. */
export class LagMonitor {
  readonly #options: ResolvedCommonOptions['lag']
  readonly #report: Reporter
  readonly #read: (signal: AbortSignal) => Promise<LagReading | undefined>
  /** Those of which it was told that they are behind, as last seen. */
  readonly #lagging = new Map<string, PartitionLag>()

  /** @param read Undefined while the member has nothing: its group rebalances. */
  constructor(
    options: ResolvedCommonOptions['lag'],
    report: Reporter,
    read: (signal: AbortSignal) => Promise<LagReading | undefined>,
  ) {
    this.#options = options
    this.#report = report
    this.#read = read
  }

  /** Until the signal is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { warnAt, intervalMs } = this.#options
    while (!signal.aborted) {
      await delay(intervalMs, signal).catch(() => undefined)
      const isWanted = warnAt !== Infinity || channels.consumerLag.hasSubscribers
      if (isWanted && !signal.aborted) await this.#look(signal)
    }
    this.#report.lag([])
    for (const last of this.#lagging.values()) this.#tell('moved', last)
  }

  async #look(signal: AbortSignal): Promise<void> {
    try {
      const reading = await this.#read(signal)
      if (reading === undefined || signal.aborted) return
      this.#report.lag(reading.lags)
      if (this.#options.warnAt !== Infinity) this.#compare(reading)
    } catch (error) {
      if (!signal.aborted) this.#report.restarting(error) // asked again with the next look
    }
  }

  #compare({ assigned, lags }: LagReading): void {
    for (const one of lags) {
      const name = nameOf(one)
      const wasLagging = this.#lagging.has(name)
      if (one.lag >= this.#options.warnAt) {
        this.#lagging.set(name, one)
        if (!wasLagging) this.#tell('lagging', one)
      } else if (this.#lagging.delete(name)) this.#tell('caught-up', one)
    }
    const own = new Set(assigned.map(nameOf))
    for (const [name, last] of this.#lagging) {
      if (own.has(name)) continue
      this.#lagging.delete(name)
      this.#tell('moved', last)
    }
  }

  #tell(state: 'lagging' | 'caught-up' | 'moved', { topic, partition, lag }: PartitionLag): void {
    this.#report.lagging({ topic, partition, state, lag, warnAt: this.#options.warnAt })
  }
}

const nameOf = ({ topic, partition }: PartitionAddress): string => `${topic}\n${partition}`
