import { crc32c } from '@node-rs/crc32'
import { OutboxError } from '@oncebox/core'
import { batchAttributes, batchLayout, batchMagic, batchOverheadBytes } from './batch-layout.js'
import { readRecords, type ConsumedRecord } from './batch-record.js'
import type { Decompression } from './decompression.js'
import { RecordScanner } from './record-scanner.js'

/** The whole batches in `bytes`; a batch cut off at the end is left to the next fetch. */
export function* readBatches(bytes: Buffer): Generator<ConsumedBatch> {
  for (let at = 0, end; (end = endOfBatch(bytes, at)) !== undefined; at = end)
    yield new ConsumedBatch(bytes, at, end)
}

/** The offset behind the last whole batch, without a look at anything else; undefined when there is none. */
export function offsetBehind(bytes: Buffer): bigint | undefined {
  let last: number | undefined
  for (let at = 0, end; (end = endOfBatch(bytes, at)) !== undefined; at = end) last = at
  return last === undefined ? undefined : lastOffsetOf(bytes, last) + 1n
}

function endOfBatch(bytes: Buffer, at: number): number | undefined {
  if (at + batchLayout.records > bytes.length) return undefined
  const end = at + batchOverheadBytes + bytes.readInt32BE(at + batchLayout.length)
  if (end < at + batchLayout.records)
    throw new OutboxError('KAFKA_PROTOCOL', `a record batch of ${end - at} bytes is shorter than its header`)
  return end > bytes.length ? undefined : end
}

const lastOffsetOf = (bytes: Buffer, at: number): bigint =>
  bytes.readBigInt64BE(at + batchLayout.baseOffset) +
  BigInt(bytes.readInt32BE(at + batchLayout.lastOffsetDelta))

const abortType = 0

/** A batch as it was read: a place in the answer. Its records are checked and decoded only when asked for. */
export class ConsumedBatch {
  readonly #bytes: Buffer
  readonly #at: number
  readonly #end: number
  readonly #attributes: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
    const magic = bytes.readInt8(at + batchLayout.magic)
    if (magic !== batchMagic)
      throw new OutboxError(
        'KAFKA_PROTOCOL',
        `a record batch of magic ${magic} at offset ${this.#baseOffset}`,
      )
    this.#attributes = bytes.readInt16BE(at + batchLayout.attributes)
  }

  get lastOffset(): bigint {
    return lastOffsetOf(this.#bytes, this.#at)
  }

  get producerId(): bigint {
    return this.#bytes.readBigInt64BE(this.#at + batchLayout.producerId)
  }

  get transactional(): boolean {
    return (this.#attributes & batchAttributes.transactional) !== 0
  }

  /** A control batch holds one marker, which ends a transaction of its producer. Only this bit makes it one: any record may have a marker's key. */
  get control(): boolean {
    return (this.#attributes & batchAttributes.control) !== 0
  }

  /** How its marker ends the transaction; undefined for a batch of records, and for one that compaction has emptied. */
  get marker(): 'commit' | 'abort' | undefined {
    if (!this.control || this.#recordCount === 0) return undefined
    const scanner = new RecordScanner(this.#checkedBody()) // brokers do not compress markers
    scanner.next()
    // The key is two 16-bit numbers, version and type.
    return scanner.key?.readInt16BE(2) === abortType ? 'abort' : 'commit'
  }

  /** @throws OutboxError KAFKA_BATCH_TOO_LARGE, KAFKA_CODEC_MISSING; KAFKA_PROTOCOL, also when the checksum is wrong */
  records(decompression: Decompression): ConsumedRecord[] {
    const timestamp = (field: number): number => Number(this.#bytes.readBigInt64BE(this.#at + field))
    return readRecords(this.#decompressed(decompression), this.#recordCount, {
      baseOffset: this.#baseOffset,
      baseTimestampMs: timestamp(batchLayout.baseTimestamp),
      appendTimestampMs:
        (this.#attributes & batchAttributes.appendTime) === 0
          ? undefined
          : timestamp(batchLayout.maxTimestamp),
    })
  }

  /**
   * The last record that has this key, among those from `from` up to but excluding `end`; the value is a view. Without an
   * object for each record. Throws as {@link records} does.
   */
  lastOf(
    key: Uint8Array,
    { from, end }: { readonly from: bigint; readonly end: bigint },
    decompression: Decompression,
  ): { readonly offset: bigint; readonly value: Buffer | null } | undefined {
    const base = this.#baseOffset
    const [first, behind] = [Number(from - base), Number(end - base)]
    const scanner = new RecordScanner(this.#decompressed(decompression))
    let last: { offset: bigint; value: Buffer | null } | undefined
    for (let left = this.#recordCount; left > 0; left--) {
      scanner.next()
      if (scanner.offsetDelta >= first && scanner.offsetDelta < behind && scanner.keyEquals(key))
        last = { offset: base + BigInt(scanner.offsetDelta), value: scanner.value }
    }
    return last
  }

  #decompressed(decompression: Decompression): Buffer {
    const codecId = this.#attributes & batchAttributes.compression
    const body = this.#checkedBody()
    // An empty batch is what compaction left of one: its attributes still name the codec.
    return codecId === 0 || body.length === 0 ? body : decompression.records(body, codecId, this.#baseOffset)
  }

  get #recordCount(): number {
    return this.#bytes.readInt32BE(this.#at + batchLayout.recordCount)
  }

  get #baseOffset(): bigint {
    return this.#bytes.readBigInt64BE(this.#at + batchLayout.baseOffset)
  }

  /** The records as they stand there, after a look at the checksum. */
  #checkedBody(): Buffer {
    const checked = this.#bytes.subarray(this.#at + batchLayout.attributes, this.#end)
    if (crc32c(checked) !== this.#bytes.readUInt32BE(this.#at + batchLayout.crc)) {
      throw new OutboxError(
        'KAFKA_PROTOCOL',
        `the batch at offset ${this.#baseOffset} has another checksum than it says: it was damaged on its way or on the broker`,
        { details: { offset: String(this.#baseOffset) } },
      )
    }
    return checked.subarray(batchLayout.records - batchLayout.attributes)
  }
}
