import { murmur2 } from '@oncebox/kafka'
import { Entry, writeName, type EntryFields } from './entry.js'
import { shortHash } from './source-hash.js'

/**
 * A row of outbox.events, as far as a comparison needs it: 72 bytes, read in place. Its event is named by id and
 * source; the source, and the key, as the first bytes of their hash.
 */
export class RowEntry extends Entry {
  static readonly size = 72

  get bucket(): number {
    return this.bytes.readUInt8(26)
  }

  get isDeadLetter(): boolean {
    return (this.bytes.readUInt8(27) & rowFlags.deadLetter) !== 0
  }

  get hasKey(): boolean {
    return (this.bytes.readUInt8(27) & rowFlags.key) !== 0
  }

  /** Committed after the snapshot of the comparison: its record is no phantom, and nothing else is said of it. */
  get isLate(): boolean {
    return (this.bytes.readUInt8(27) & rowFlags.late) !== 0
  }

  /** The partition that the event asks for; undefined for that of its key, or any. */
  get partition(): number | undefined {
    const partition = this.bytes.readInt32BE(28)
    return partition < 0 ? undefined : partition
  }

  get seq(): bigint {
    return this.bytes.readBigInt64BE(32)
  }

  get txid(): bigint {
    return this.bytes.readBigUInt64BE(40)
  }

  /** The transaction that wrote the row here: another one than `txid` when the row was copied. */
  get writtenBy(): bigint {
    return this.bytes.readBigUInt64BE(48)
  }

  /** Topic and key together, as a hash; only of an event that has a key. */
  get keyName(): Buffer {
    return this.bytes.subarray(56, 64)
  }

  get payloadBytes(): number {
    return this.bytes.readUInt32BE(68)
  }

  /** The partition when the topic has, or had, so many: of the key, or by the random end of the id. */
  partitionOf(partitions: number): number {
    const hash = this.bytes.readUInt32BE(64)
    return (this.hasKey ? hash & 0x7fff_ffff : hash) % partitions
  }
}

const rowFlags = { deadLetter: 1, key: 2, late: 4 } as const

export interface RowFields extends EntryFields {
  readonly bucket: number
  readonly isDeadLetter: boolean
  readonly isLate: boolean
  readonly key: Buffer | undefined
  readonly partition: number | undefined
  readonly seq: bigint
  readonly txid: bigint
  readonly writtenBy: bigint
  readonly payloadBytes: number
}

export function writeRow(entry: Buffer, row: RowFields): void {
  writeName(entry, row)
  entry.writeUInt8(row.bucket, 26)
  entry.writeUInt8(
    (row.isDeadLetter ? rowFlags.deadLetter : 0) |
      (row.key === undefined ? 0 : rowFlags.key) |
      (row.isLate ? rowFlags.late : 0),
    27,
  )
  entry.writeInt32BE(row.partition ?? -1, 28)
  entry.writeBigInt64BE(row.seq, 32)
  entry.writeBigUInt64BE(row.txid, 40)
  entry.writeBigUInt64BE(row.writtenBy, 48)
  if (row.key !== undefined) keyName(row.topic, row.key).copy(entry, 56)
  // Without a key the relay takes the last four bytes of the id, all 32 bits of them.
  entry.writeUInt32BE(row.key === undefined ? row.id.readUInt32BE(12) : murmur2(row.key) >>> 0, 64)
  entry.writeUInt32BE(row.payloadBytes, 68)
}

const keyName = (topic: number, key: Buffer): Buffer =>
  shortHash(Buffer.concat([Buffer.from([topic >> 8, topic & 0xff]), key]))
