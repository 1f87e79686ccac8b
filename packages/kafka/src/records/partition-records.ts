import { invariant, OutboxError } from '@oncebox/core'
import type { Codec, Compression } from '../codecs/codec.js'
import { codecFor } from '../codecs/codecs.js'
import {
  unsignedVarintSize,
  varintSize,
  varlongSize,
  writeUnsignedVarint,
  writeVarint,
  writeVarlong,
} from '../wire/varint.js'
import { batchLayout } from './batch-layout.js'
import { RecordBatch } from './record-batch.js'

const firstBufferBytes = 16 * 1024
// A native copy has a fixed cost of some 100 ns: below this many bytes a loop is faster.
const loopCopyBytesMax = 48

export interface PartitionRecordsOptions {
  /** The topic's `max.message.bytes`: no batch becomes larger, before or after compression. */
  readonly maxMessageBytes: number
  /** Default: none. A batch that does not become smaller goes out as it is. */
  readonly compression?: Compression
}

/**
 * The records of one partition in one transaction, encoded straight into record batches: sizes first, then bytes, no
 * object per record. Filled once, closed, published once; afterwards its memory belongs to the session.
 */
export class PartitionRecords {
  readonly topic: string
  readonly partition: number
  readonly #maxMessageBytes: number
  readonly #fullBytes: number
  readonly #batches: RecordBatch[] = []
  #open: RecordBatch | undefined
  #count = 0
  readonly #codec: Codec | undefined
  /** One for each batch that is full. */
  readonly #compressing: Promise<void>[] = []
  #closing: Promise<void> | undefined
  #closed = false
  #published = false

  /** @throws OutboxError KAFKA_OPTIONS_INVALID, KAFKA_CODEC_MISSING */
  constructor(topic: string, partition: number, options: PartitionRecordsOptions) {
    this.topic = topic
    this.partition = partition
    this.#codec = codecFor(options.compression ?? 'none')
    this.#maxMessageBytes = options.maxMessageBytes
    // Buffers are powers of two, and the usual limit of 1,048,588 bytes is 12 above one: filling those would double the buffer.
    this.#fullBytes = 2 ** Math.floor(Math.log2(options.maxMessageBytes))
  }

  /** Records appended. */
  get count(): number {
    return this.#count
  }

  /** Bytes of the batches, headers included; those that are full shrink as they are compressed, the last by {@link close}. */
  get bytes(): number {
    return this.#batches.reduce((sum, { end }) => sum + end, 0)
  }

  /**
   * Appends one record. Key and value are ranges of `source`; start -1 means null. A full batch starts the next one.
   *
   * @param timestampMs Milliseconds since 1970, a whole number.
   * @param headerCount Headers in all `headerPieces` together.
   * @param headerPieces Headers as {@link encodeHeader} returns them, any number of headers in each piece.
   * @throws OutboxError KAFKA_RECORD_TOO_LARGE when the record alone exceeds `maxMessageBytes`; nothing was appended.
   */
  append(
    timestampMs: number,
    source: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    headerCount: number,
    headerPieces: readonly Uint8Array[],
  ): void {
    invariant(
      this.#closing === undefined && !this.#published,
      `${this.topic}-${this.partition}: records are appended before they are published`,
    )
    const keyBytes = keyStart < 0 ? 0 : keyEnd - keyStart
    const valueBytes = valueStart < 0 ? 0 : valueEnd - valueStart
    // Attributes, key, value and headers: what does not depend on the batch.
    let fixedBytes =
      1 + lengthSize(keyStart, keyBytes) + lengthSize(valueStart, valueBytes) + varintSize(headerCount)
    for (let index = 0; index < headerPieces.length; index++) fixedBytes += headerPieces[index]?.length ?? 0

    let batch = this.#open
    let bodyBytes =
      batch === undefined
        ? 0
        : fixedBytes + varlongSize(timestampMs - batch.baseTimestampMs) + varintSize(batch.count)
    if (batch === undefined || batch.end + unsignedVarintSize(2 * bodyBytes) + bodyBytes > this.#fullBytes) {
      bodyBytes = fixedBytes + 2 // the first record's timestamp and offset deltas are 0
      batch = this.#nextBatch(timestampMs, unsignedVarintSize(2 * bodyBytes) + bodyBytes)
    }
    batch.reserve(unsignedVarintSize(2 * bodyBytes) + bodyBytes)

    const target = batch.buffer
    let at = writeUnsignedVarint(target, batch.end, 2 * bodyBytes) // zigzag of a length
    target[at++] = 0 // attributes: none are defined for records
    at = writeVarlong(target, at, timestampMs - batch.baseTimestampMs)
    at = writeVarint(target, at, batch.count)
    at = writeRange(target, at, source, keyStart, keyBytes)
    at = writeRange(target, at, source, valueStart, valueBytes)
    at = writeVarint(target, at, headerCount)
    for (let index = 0; index < headerPieces.length; index++) {
      const piece = headerPieces[index]
      if (piece !== undefined) at = copyRange(target, at, piece, 0, piece.length)
    }
    batch.end = at
    batch.count++
    if (timestampMs > batch.maxTimestampMs) batch.maxTimestampMs = timestampMs
    this.#count++
  }

  /**
   * Ends the filling; resolves when all batches are compressed. A session does it as soon as it is given the records;
   * doing it again, or earlier, does no harm.
   */
  close(): Promise<void> {
    this.#closing ??= this.#finish()
    return this.#closing
  }

  /** Hands the batches to a session, once. */
  takeBatches(): readonly RecordBatch[] {
    invariant(
      this.#closed || this.#codec === undefined,
      `${this.topic}-${this.partition}: records are closed before they are published`,
    )
    invariant(
      !this.#published,
      `${this.topic}-${this.partition}: records are published once; build them again to publish again`,
    )
    this.#published = true
    return this.#batches
  }

  /** Gives the memory back. Only when the transaction is committed: no socket and no retry can read it any more. */
  release(): void {
    for (const batch of this.#batches) batch.release()
    this.#batches.length = 0
  }

  #nextBatch(timestampMs: number, recordBytes: number): RecordBatch {
    const bytes = batchLayout.records + recordBytes
    if (bytes > this.#maxMessageBytes) {
      throw new OutboxError(
        'KAFKA_RECORD_TOO_LARGE',
        `${this.topic}-${this.partition}: a record makes a batch of ${bytes} bytes, the topic takes ${this.#maxMessageBytes}`,
        {
          details: {
            topic: this.topic,
            partition: this.partition,
            bytes,
            maxMessageBytes: this.#maxMessageBytes,
          },
        },
      )
    }
    const batch = new RecordBatch(timestampMs, Math.max(firstBufferBytes, bytes))
    this.#compressOpen()
    this.#open = batch
    this.#batches.push(batch)
    return batch
  }

  /** In the background: the next batch is filled meanwhile. */
  #compressOpen(): void {
    if (this.#codec === undefined || this.#open === undefined) return
    const compressing = this.#open.compress(this.#codec)
    compressing.catch(() => undefined) // close() tells
    this.#compressing.push(compressing)
  }

  async #finish(): Promise<void> {
    this.#compressOpen()
    await Promise.all(this.#compressing)
    this.#closed = true
  }
}

const lengthSize = (start: number, bytes: number): number =>
  start < 0 ? 1 : unsignedVarintSize(2 * bytes) + bytes

function writeRange(target: Buffer, at: number, source: Uint8Array, start: number, bytes: number): number {
  if (start < 0) return writeVarint(target, at, -1)
  return copyRange(target, writeUnsignedVarint(target, at, 2 * bytes), source, start, start + bytes)
}

function copyRange(target: Buffer, at: number, source: Uint8Array, start: number, end: number): number {
  if (end - start <= loopCopyBytesMax) {
    while (start < end) target[at++] = source[start++] ?? 0
    return at
  }
  target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at)
  return at + end - start
}
