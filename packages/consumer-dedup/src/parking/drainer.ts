import { delay, nextDelayMs } from '@oncebox/core'
import { randomUUID } from 'node:crypto'
import type { DatabaseContext } from '../event.js'
import type { Handlers } from '../handlers.js'
import type { Background } from '../modes/mode.js'
import type { ResolvedDatabaseOptions } from '../resolved-options.js'
import type { Reporter } from '../report.js'
import { DrainRunner } from './drain-runner.js'
import { ParkedEvents, type ClaimedEvent } from './parked-events.js'
import type { ParkingLot } from './parking-lot.js'

const pollMs = 1_000
/** Without parking there is only what was parked before, and dead letters that somebody wants replayed. */
const idlePollMs = 5_000
const troubleBackoff = { minMs: 200, maxMs: 10_000 }
const concurrencyByDefault = 4

/** Runs what is parked, key by key, when its time has come. Every process of a consumer has one; a key has one at a time. */
export class Drainer<Tx> implements Background {
  readonly #lot: ParkingLot
  readonly #parked: ParkedEvents
  readonly #runner: DrainRunner<Tx>
  readonly #options: ResolvedDatabaseOptions<Tx>
  readonly #report: Reporter
  readonly #stopping = new AbortController()
  readonly #inHand = new Set<Promise<void>>()
  readonly #finished: Promise<void>
  #freeing: Promise<void> | undefined
  #woken = wakeUp()
  #lastDepth = ''

  constructor(
    options: ResolvedDatabaseOptions<Tx>,
    lot: ParkingLot,
    handlers: Handlers<DatabaseContext<Tx>>,
    report: Reporter,
  ) {
    this.#options = options
    this.#lot = lot
    this.#report = report
    this.#parked = new ParkedEvents(options.db.outside, options.name, options.sessionTimeoutMs)
    this.#runner = new DrainRunner(options, this.#parked, handlers, report)
    lot.onParked = () => this.#woken.wake()
    this.#finished = this.#run()
  }

  get backends(): Iterable<number> {
    return this.#runner.backends
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#woken.wake()
    await this.#finished
  }

  abort(reason: Error): void {
    this.#stopping.abort()
    this.#woken.wake()
    this.#runner.abort(reason)
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted;) {
      try {
        const nextMs = await this.#drain()
        failures = 0
        await this.#sleep(nextMs)
      } catch (error) {
        failures += 1
        this.#report.restarting(error)
        await delay(nextDelayMs(troubleBackoff, failures), signal).catch(() => undefined)
      }
    }
    while (this.#inHand.size > 0) await Promise.allSettled(this.#inHand)
    await this.#freeing
  }

  /** Begins what is due, as far as there is room. Resolves with how long to wait until the next look. */
  async #drain(): Promise<number> {
    const { due, nextMs, ...depth } = await this.#lot.count(this.#options.db.outside)
    this.#tellDepth(depth)
    const { concurrency } = this.#options.parking ?? { concurrency: concurrencyByDefault }
    const longestMs = this.#lot.isOpen || depth.keys > 0 ? pollMs : idlePollMs
    let claimed = 0
    while (claimed < due && this.#inHand.size < concurrency && !this.#stopping.signal.aborted) {
      const event = await this.#parked.claim(randomUUID())
      if (event === undefined) break
      claimed += 1
      this.#begin(event)
    }
    // Due, and nobody gives it away: perhaps its holder stands still.
    if (due > 0 && claimed === 0 && this.#inHand.size < concurrency) this.#freeStale()
    return Math.min(longestMs, nextMs ?? longestMs)
  }

  #begin(event: ClaimedEvent): void {
    const running = this.#runner.run(event).finally(() => {
      this.#inHand.delete(running)
      this.#woken.wake()
    })
    this.#inHand.add(running)
  }

  /** Beside the others, which are not held up by it. Takes a few seconds at most. */
  #freeStale(): void {
    if (this.#freeing !== undefined) return
    this.#freeing = this.#parked
      .freeStale()
      .catch(() => undefined) // looked for again
      .finally(() => {
        this.#freeing = undefined
      })
  }

  /** Until something is due, was parked or has ended here. */
  async #sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, ms)
    })
    await Promise.race([late, this.#woken.promise])
    clearTimeout(timer)
    this.#woken = wakeUp()
  }

  #tellDepth(depth: { readonly keys: number; readonly events: number }): void {
    const { isFull } = this.#lot
    const text = `${depth.keys} ${depth.events} ${isFull}`
    if (text === this.#lastDepth) return
    this.#lastDepth = text
    this.#report.parking({ ...depth, isFull })
  }
}

function wakeUp(): { readonly promise: Promise<void>; readonly wake: () => void } {
  let wake: () => void = () => undefined
  const promise = new Promise<void>((resolve) => {
    wake = resolve
  })
  return { promise, wake }
}
