import { passed, report } from '../drained.js'

export interface ReadingDrain {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly partitions: number
  /** Group of a client that needs one: new for each drain. */
  readonly name: string
  readonly events: number
  readonly warmUpEvents: number
}

/** What the benchmark passes to a drain process. */
export const readingDrain = (): ReadingDrain => ({
  brokers: passed('BENCH_BROKERS').split(','),
  topic: passed('BENCH_TOPIC'),
  partitions: Number(passed('BENCH_PARTITIONS')),
  name: passed('BENCH_NAME'),
  events: Number(passed('BENCH_EVENTS')),
  warmUpEvents: Number(passed('BENCH_WARM_UP_EVENTS')),
})

/** The same as variables. */
export const toEnvironment = (drain: ReadingDrain): Record<string, string> => ({
  BENCH_BROKERS: drain.brokers.join(','),
  BENCH_TOPIC: drain.topic,
  BENCH_PARTITIONS: String(drain.partitions),
  BENCH_NAME: drain.name,
  BENCH_EVENTS: String(drain.events),
  BENCH_WARM_UP_EVENTS: String(drain.warmUpEvents),
})

/** Counts what was read. The clock runs from the end of the warm-up to the last event, and then it reports. */
export class ReadingClock {
  readonly #drain: ReadingDrain
  readonly #ended: () => void
  /** Resolves when everything was read. */
  readonly end: Promise<void>
  #read = 0
  #startedMs: number | undefined
  #startedCpu = process.cpuUsage()

  constructor(drain: ReadingDrain) {
    this.#drain = drain
    let ended: () => void = () => undefined
    this.end = new Promise((resolve) => (ended = resolve))
    this.#ended = ended
  }

  /** So many records have been looked at, of so many bytes in keys, values and headers. */
  add(records: number, bytes: number): void {
    if (bytes < records) throw new Error(`${records} records with ${bytes} bytes: somebody did not look`)
    const { warmUpEvents, events } = this.#drain
    this.#read += records
    if (this.#startedMs === undefined && this.#read >= warmUpEvents) {
      this.#startedMs = performance.now()
      this.#startedCpu = process.cpuUsage()
    }
    if (this.#read < warmUpEvents + events) return
    if (this.#read > warmUpEvents + events) throw new Error(`${this.#read} records were read: some twice`)
    report(events, this.#startedMs ?? 0, this.#startedCpu)
    this.#ended()
  }
}
