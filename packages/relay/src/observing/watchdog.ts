import { channels } from '@oncebox/core'
import type { RelayLogger } from '../options.js'
import type { UnreadyReason } from './readiness.js'

const everyMs = 1_000

export interface WatchdogOptions {
  readonly relay: string
  readonly log: RelayLogger
  /** Empty while the relay is ready. */
  readonly reasons: () => readonly UnreadyReason[]
}

/** Says when a relay that was ready is not any more, and why, and when it is again: in the log, once each, and on a channel. */
export class Watchdog implements Disposable {
  readonly #options: WatchdogOptions
  readonly #timer: NodeJS.Timeout
  #told: string | undefined

  constructor(options: WatchdogOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#look(), everyMs).unref()
    this.#look()
  }

  #look(): void {
    const { relay, log, reasons: reasonsOf } = this.#options
    const reasons = reasonsOf()
    // Which shards, and what about them; not for how long.
    const news = reasons.map(({ code, shard, why }) => `${code} ${shard} ${why?.code} ${why?.topic}`).join()
    if (news === this.#told) return
    const isFirst = this.#told === undefined
    this.#told = news
    channels.relayReadiness.publish({ relay, ready: reasons.length === 0, reasons })
    if (reasons.length > 0) log.warn({ reasons }, 'not ready')
    else if (!isFirst) log.info({}, 'ready again')
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
