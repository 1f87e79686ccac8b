import { OutboxError } from '@oncebox/core'
import { Reader } from '../wire/reader.js'
import { batchAttributes, batchLayout, batchMagic, batchOverheadBytes } from './batch-layout.js'
import type { Decompression } from './decompression.js'

/** A record as it was read. Key, value and headers are views of the answer. */
export interface ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [name: string, value: Buffer])[]
}

/** A batch as it was read; its records are decoded only when asked for. */
export interface ConsumedBatch {
  readonly lastOffset: bigint
  readonly producerId: bigint
  readonly transactional: boolean
  /** A control batch holds one marker, which ends a transaction of its producer; `aborts` says how. */
  readonly control: boolean
  readonly aborts: boolean
  /** @throws OutboxError KAFKA_BATCH_TOO_LARGE, KAFKA_CODEC_MISSING, KAFKA_PROTOCOL */
  records(decompression: Decompression): ConsumedRecord[]
}

/** The whole batches in `bytes`; a batch cut off at the end is left to the next fetch. */
export function* readBatches(bytes: Buffer): Generator<ConsumedBatch> {
  for (let at = 0; at + batchLayout.records <= bytes.length;) {
    const end = at + batchOverheadBytes + bytes.readInt32BE(at + batchLayout.length)
    if (end > bytes.length) return
    yield readBatch(bytes.subarray(at, end))
    at = end
  }
}

function readBatch(bytes: Buffer): ConsumedBatch {
  const baseOffset = bytes.readBigInt64BE(batchLayout.baseOffset)
  const magic = bytes.readInt8(batchLayout.magic)
  if (magic !== batchMagic)
    throw new OutboxError('KAFKA_PROTOCOL', `a record batch of magic ${magic} at offset ${baseOffset}`)
  const attributes = bytes.readInt16BE(batchLayout.attributes)
  const control = (attributes & batchAttributes.control) !== 0
  return {
    lastOffset: baseOffset + BigInt(bytes.readInt32BE(batchLayout.lastOffsetDelta)),
    producerId: bytes.readBigInt64BE(batchLayout.producerId),
    transactional: (attributes & batchAttributes.transactional) !== 0,
    control,
    aborts: control && isAbortMarker(bytes),
    records: (decompression) =>
      readRecords(bytes, baseOffset, attributes, recordsOf(bytes, baseOffset, attributes, decompression)),
  }
}

const abortMarker = 0

/** A marker's key is two 16-bit numbers, version and type. Only the control bit makes a batch a marker: any record may have such a key. */
function isAbortMarker(bytes: Buffer): boolean {
  if (bytes.readInt32BE(batchLayout.recordCount) === 0) return false // emptied by compaction
  const [marker] = readRecords(bytes, 0n, 0, bytes.subarray(batchLayout.records)) // brokers do not compress markers
  return marker?.key?.readInt16BE(2) === abortMarker
}

function recordsOf(
  bytes: Buffer,
  baseOffset: bigint,
  attributes: number,
  decompression: Decompression,
): Buffer {
  const codecId = attributes & batchAttributes.compression
  const body = bytes.subarray(batchLayout.records)
  // An empty batch is what compaction left of one: its attributes still name the codec.
  return codecId === 0 || body.length === 0 ? body : decompression.records(body, codecId, baseOffset)
}

function readRecords(bytes: Buffer, baseOffset: bigint, attributes: number, body: Buffer): ConsumedRecord[] {
  const baseTimestampMs = Number(bytes.readBigInt64BE(batchLayout.baseTimestamp))
  const appendedMs =
    (attributes & batchAttributes.appendTime) === 0
      ? undefined
      : Number(bytes.readBigInt64BE(batchLayout.maxTimestamp))
  const reader = new Reader(body)
  return Array.from({ length: bytes.readInt32BE(batchLayout.recordCount) }, () =>
    readRecord(reader, baseOffset, baseTimestampMs, appendedMs),
  )
}

function readRecord(
  reader: Reader,
  baseOffset: bigint,
  baseTimestampMs: number,
  appendedMs: number | undefined,
): ConsumedRecord {
  reader.varint() // length
  reader.int8() // attributes
  const createdMs = baseTimestampMs + Number(reader.varlong())
  const timestampMs = appendedMs ?? createdMs
  const offset = baseOffset + BigInt(reader.varint())
  const key = nullableBytes(reader)
  const value = nullableBytes(reader)
  const headers = Array.from({ length: reader.varint() }, (): [string, Buffer] => {
    const name = reader.bytes(reader.varint()).toString('utf8')
    return [name, nullableBytes(reader) ?? Buffer.alloc(0)]
  })
  return { offset, timestampMs, key, value, headers }
}

function nullableBytes(reader: Reader): Buffer | null {
  const length = reader.varint()
  return length < 0 ? null : reader.bytes(length)
}
