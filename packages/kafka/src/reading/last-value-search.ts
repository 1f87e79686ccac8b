import { Decompression } from '../records/decompression.js'
import { readBatches, type ConsumedBatch } from '../records/read-batches.js'

/** A record that was found; the value is a view of the answer that it came in. */
export interface FoundValue {
  readonly offset: bigint
  readonly value: Buffer | null
}

/** Offsets from `from` up to but excluding `end`. */
export interface Stretch {
  readonly from: bigint
  readonly end: bigint
}

/**
 * Looks for the last committed record of a key in a log that is read backwards, stretch by stretch, each stretch forwards and
 * as it stands, undecided and aborted records included. What became of a transaction says its marker: the first one of its
 * producer behind the record, in this stretch or in a later one, which was read before.
 *
 * The broker could say it too, under read_committed. But for each answer it goes through its index of aborted transactions
 * from the start: with 500,000 of them behind the position, a search took 8.6 s that way, and 2.2 s this way (2 busy cores;
 * 52 s with answers of 1 MiB).
 */
export class LastValueSearch {
  readonly #key: Uint8Array
  readonly #decompressedBytesMax: number
  /** By producer: how the first of its markers at or behind the end of the current stretch ends a transaction. */
  #endings = new Map<bigint, 'commit' | 'abort'>()
  #inStretch = new Map<bigint, 'commit' | 'abort'>()
  /** By producer: the last record of the key in a transaction that has not ended in this stretch so far. */
  readonly #open = new Map<bigint, FoundValue>()
  #last: FoundValue | undefined

  constructor(key: Uint8Array, decompressedBytesMax: number) {
    this.#key = key
    this.#decompressedBytesMax = decompressedBytesMax
  }

  /** Takes what was fetched of the stretch, whole batches, in order; more may be behind it, in the last answer. */
  see(bytes: Buffer, stretch: Stretch): void {
    const decompression = new Decompression(this.#decompressedBytesMax)
    for (const batch of readBatches(bytes)) {
      if (batch.control) this.#end(batch)
      else this.#look(batch, stretch, decompression)
    }
  }

  /**
   * Ends the stretch; the next one lies before it.
   *
   * @param decide Asks whether a record is visible whose marker lies behind everything that was read: its producer is
   *   somebody who does not belong here.
   * @returns the last committed record of the key in this stretch
   */
  async close(decide: (offset: bigint) => Promise<boolean>): Promise<FoundValue | undefined> {
    for (const [producerId, found] of this.#open) {
      const ending = this.#endings.get(producerId)
      if (ending === 'commit' || (ending === undefined && (await decide(found.offset)))) this.#keep(found)
    }
    this.#open.clear()
    for (const [producerId, ending] of this.#inStretch) this.#endings.set(producerId, ending)
    this.#inStretch = new Map()
    return this.#last
  }

  #end(batch: ConsumedBatch): void {
    const { producerId } = batch
    const found = this.#open.get(producerId)
    const isFirst = !this.#inStretch.has(producerId)
    if (found === undefined && !isFirst) return // most markers say nothing new
    const { marker } = batch
    if (marker === undefined) return
    if (isFirst) this.#inStretch.set(producerId, marker)
    if (found === undefined) return
    this.#open.delete(producerId)
    if (marker === 'commit') this.#keep(found)
  }

  #look(batch: ConsumedBatch, stretch: Stretch, decompression: Decompression): void {
    const found = batch.lastOf(this.#key, stretch, decompression)
    if (found === undefined) return
    if (batch.transactional) this.#open.set(batch.producerId, found)
    else this.#keep(found)
  }

  /** Transactions may overlap: the last record is the one with the highest offset, not the one that was decided last. */
  #keep(found: FoundValue): void {
    if (this.#last === undefined || found.offset > this.#last.offset) this.#last = found
  }
}
