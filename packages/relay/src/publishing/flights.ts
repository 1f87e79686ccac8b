import type { EncodedBatch } from './encoded-batch.js'

interface Flight {
  readonly batch: EncodedBatch
  readonly done: Promise<void>
}

/** What failed, and the batch that it was about; without one when it was none of them. */
export interface FirstFailure {
  readonly error: unknown
  readonly batch: EncodedBatch | undefined
}

/** Batches on their way to Kafka, in their order: two at most. */
export class Flights {
  #flights: Flight[] = []

  get count(): number {
    return this.#flights.length
  }

  /** Resolves when the newest is committed, and with it all before it. */
  get landed(): Promise<void> | undefined {
    return this.#flights.at(-1)?.done
  }

  add(batch: EncodedBatch, done: Promise<void>): void {
    // Awaited as long as it is in flight; this only keeps an early failure from counting as unhandled.
    done.catch(() => undefined)
    this.#flights.push({ batch, done })
  }

  async landFirst(): Promise<void> {
    await this.#flights[0]?.done
    this.#flights.shift()
  }

  async landAll(): Promise<void> {
    while (this.#flights.length > 0) await this.landFirst()
  }

  /**
   * Waits until nothing is on its way. What failed first is the reason for the rest: a batch is aborted with the one ahead of
   * it.
   */
  async failedFirst(error: unknown): Promise<FirstFailure> {
    const flights = this.#flights
    this.#flights = []
    const ends = await Promise.allSettled(flights.map(({ done }) => done))
    const first = ends.findIndex(({ status }) => status === 'rejected')
    const end = ends[first]
    return end?.status === 'rejected'
      ? { error: end.reason, batch: flights[first]?.batch }
      : { error, batch: undefined }
  }
}
