import { createHash } from 'node:crypto'
import { murmur2 } from '@oncebox/kafka'

/**
 * A row of outbox.events, as far as a comparison needs it: 72 bytes, read in place. Its event is named by id and
 * source; the source, and the key, as the first bytes of their hash.
 */
export class RowEntry {
  static readonly bytes = 72
  readonly #entry: Buffer

  constructor(entry: Buffer) {
    this.#entry = entry
  }

  copyTo(entry: Buffer): void {
    this.#entry.copy(entry)
  }

  /** Id and source: what makes two of them the same event. */
  get name(): Buffer {
    return this.#entry.subarray(0, 24)
  }

  get id(): string {
    return uuidText(this.#entry)
  }

  get topic(): number {
    return this.#entry.readUInt16BE(24)
  }

  get bucket(): number {
    return this.#entry.readUInt8(26)
  }

  get isDeadLetter(): boolean {
    return (this.#entry.readUInt8(27) & rowFlags.deadLetter) !== 0
  }

  get hasKey(): boolean {
    return (this.#entry.readUInt8(27) & rowFlags.key) !== 0
  }

  /** Committed after the snapshot of the comparison: its record is no phantom, and nothing else is said of it. */
  get isLate(): boolean {
    return (this.#entry.readUInt8(27) & rowFlags.late) !== 0
  }

  /** The partition that the event asks for; undefined for that of its key, or any. */
  get partition(): number | undefined {
    const partition = this.#entry.readInt32BE(28)
    return partition < 0 ? undefined : partition
  }

  get seq(): bigint {
    return this.#entry.readBigInt64BE(32)
  }

  get txid(): bigint {
    return this.#entry.readBigUInt64BE(40)
  }

  /** The transaction that wrote the row here: another one than `txid` when the row was copied. */
  get writtenBy(): bigint {
    return this.#entry.readBigUInt64BE(48)
  }

  /** Topic and key together, as a hash; only of an event that has a key. */
  get keyName(): Buffer {
    return this.#entry.subarray(56, 64)
  }

  get payloadBytes(): number {
    return this.#entry.readUInt32BE(68)
  }

  /** The partition when the topic has, or had, so many: of the key, or by the random end of the id. */
  partitionOf(partitions: number): number {
    const hash = this.#entry.readUInt32BE(64)
    return (this.hasKey ? hash & 0x7fff_ffff : hash) % partitions
  }
}

const rowFlags = { deadLetter: 1, key: 2, late: 4 } as const

export interface RowFields {
  readonly id: Buffer
  readonly source: Buffer
  readonly topic: number
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

/** @param source As {@link shortHash} of the source's name. */
export function writeRow(entry: Buffer, row: RowFields): void {
  row.id.copy(entry, 0)
  row.source.copy(entry, 16)
  entry.writeUInt16BE(row.topic, 24)
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

/** A record of a topic, as far as a comparison needs it: 48 bytes, read in place. */
export class RecordEntry {
  static readonly bytes = 48
  readonly #entry: Buffer

  constructor(entry: Buffer) {
    this.#entry = entry
  }

  copyTo(entry: Buffer): void {
    this.#entry.copy(entry)
  }

  get name(): Buffer {
    return this.#entry.subarray(0, 24)
  }

  get id(): string {
    return uuidText(this.#entry)
  }

  get topic(): number {
    return this.#entry.readUInt16BE(24)
  }

  /** Published out of its turn, by adopt or by replay: it says nothing about what was published before it. */
  get isOutOfTurn(): boolean {
    return this.#entry.readUInt8(26) !== 0
  }

  get partition(): number {
    return this.#entry.readInt32BE(28)
  }

  get offset(): bigint {
    return this.#entry.readBigInt64BE(32)
  }
}

export interface RecordFields {
  readonly id: Buffer
  readonly source: Buffer
  readonly topic: number
  readonly isOutOfTurn: boolean
  readonly partition: number
  readonly offset: bigint
}

export function writeRecord(entry: Buffer, record: RecordFields): void {
  record.id.copy(entry, 0)
  record.source.copy(entry, 16)
  entry.writeUInt16BE(record.topic, 24)
  entry.writeUInt8(record.isOutOfTurn ? 1 : 0, 26)
  entry.writeInt32BE(record.partition, 28)
  entry.writeBigInt64BE(record.offset, 32)
}

/** The first eight bytes of the SHA-256 of some text. */
export const shortHash = (text: string | Buffer): Buffer =>
  createHash('sha256').update(text).digest().subarray(0, 8)

function keyName(topic: number, key: Buffer): Buffer {
  return createHash('sha256')
    .update(Buffer.from([topic >> 8, topic & 0xff]))
    .update(key)
    .digest()
    .subarray(0, 8)
}

const uuidText = (bytes: Buffer): string =>
  bytes.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Sixteen bytes; undefined when the text is no UUID. */
export const uuidBytes = (text: string): Buffer | undefined =>
  uuidForm.test(text) ? Buffer.from(text.replaceAll('-', ''), 'hex') : undefined
