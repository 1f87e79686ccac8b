import { Entry, writeName, type EntryFields } from './entry.js'

/** A record of a topic, as far as a comparison needs it: 48 bytes, read in place. */
export class RecordEntry extends Entry {
  static readonly size = 48

  /** Published out of its turn, by adopt or a replay: it says nothing about what was published before it. */
  get isOutOfTurn(): boolean {
    return this.bytes.readUInt8(26) !== 0
  }

  get partition(): number {
    return this.bytes.readInt32BE(28)
  }

  get offset(): bigint {
    return this.bytes.readBigInt64BE(32)
  }
}

export interface RecordFields extends EntryFields {
  readonly isOutOfTurn: boolean
  readonly partition: number
  readonly offset: bigint
}

export function writeRecord(entry: Buffer, record: RecordFields): void {
  writeName(entry, record)
  entry.writeUInt8(record.isOutOfTurn ? 1 : 0, 26)
  entry.writeInt32BE(record.partition, 28)
  entry.writeBigInt64BE(record.offset, 32)
}
