import { entriesOf } from './join.js'
import type { RecordEntry } from './record-entry.js'
import type { RowEntry } from './row-entry.js'
import { partCount, partOf, Spill } from './spill.js'

/** An event of a key that is in its topic: what it takes to say whether it came in its turn. */
export interface KeySighting {
  readonly partition: number
  readonly offset: bigint
  readonly seq: bigint
  readonly txid: bigint
  readonly writtenBy: bigint
  readonly bucket: number
  readonly topic: number
}

/** `late` stands behind `early` in the topic, and has the lower sequence number. */
export interface Inversion {
  readonly early: KeySighting
  readonly late: KeySighting
}

const entryBytes = 56

/** The events of each key that are in its topic, to be looked at key by key. */
export class KeyOrder implements AsyncDisposable {
  readonly #spill: Spill

  private constructor(spill: Spill) {
    this.#spill = spill
  }

  static async create(): Promise<KeyOrder> {
    return new KeyOrder(await Spill.create(entryBytes))
  }

  /** What adopt and replay have published is out of order by decision: it counts as being there, and as no inversion. */
  add(row: RowEntry, record: RecordEntry): void {
    if (!row.hasKey) return
    const entry = this.#spill.add(partOf(row.keyName))
    row.keyName.copy(entry, 0)
    entry.writeInt32BE(record.partition, 8)
    entry.writeUInt16BE(row.topic, 12)
    entry.writeUInt8(row.bucket, 14)
    entry.writeUInt8(record.isOutOfTurn ? 1 : 0, 15)
    entry.writeBigInt64BE(record.offset, 16)
    entry.writeBigInt64BE(row.seq, 24)
    entry.writeBigUInt64BE(row.txid, 32)
    entry.writeBigUInt64BE(row.writtenBy, 40)
  }

  async written(): Promise<void> {
    await this.#spill.written()
  }

  /** Each place in a partition where the sequence numbers of a key fall. Most prove nothing: see publication-order.ts. */
  async *inversions(): AsyncGenerator<Inversion> {
    for (let part = 0; part < partCount; part++) {
      const byKey = new Map<string, KeySighting[]>()
      for (const entry of entriesOf(await this.#spill.read(part), entryBytes)) {
        if (entry.readUInt8(15) === 1) continue
        const name = entry.toString('latin1', 0, 12) // key and partition
        const sightings = byKey.get(name)
        if (sightings === undefined) byKey.set(name, [readSighting(entry)])
        else sightings.push(readSighting(entry))
      }
      for (const sightings of byKey.values()) yield* inversionsOf(sightings)
    }
  }

  /** The highest sequence number of each key that is in its topic, for the keys of one part. */
  async highestOf(part: number): Promise<ReadonlyMap<string, bigint>> {
    const highest = new Map<string, bigint>()
    for (const entry of entriesOf(await this.#spill.read(part), entryBytes)) {
      const name = entry.toString('latin1', 0, 8)
      const seq = entry.readBigInt64BE(24)
      if (seq > (highest.get(name) ?? -1n)) highest.set(name, seq)
    }
    return highest
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#spill[Symbol.asyncDispose]()
  }
}

const readSighting = (entry: Buffer): KeySighting => ({
  partition: entry.readInt32BE(8),
  topic: entry.readUInt16BE(12),
  bucket: entry.readUInt8(14),
  offset: entry.readBigInt64BE(16),
  seq: entry.readBigInt64BE(24),
  txid: entry.readBigUInt64BE(32),
  writtenBy: entry.readBigUInt64BE(40),
})

/** Each sighting is compared with the one of the highest sequence number before it. */
function* inversionsOf(sightings: KeySighting[]): Generator<Inversion> {
  let early: KeySighting | undefined
  for (const late of sightings.sort((one, other) => (one.offset < other.offset ? -1 : 1))) {
    if (early !== undefined && late.seq < early.seq) yield { early, late }
    else early = late
  }
}
