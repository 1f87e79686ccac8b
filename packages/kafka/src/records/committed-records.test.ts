import { crc32c } from '@node-rs/crc32'
import { describe, expect, test } from 'vitest'
import type { Compression, CompressionType } from '../codecs/codec.js'
import { batchLayout } from './batch-layout.js'
import { committedRecords } from './committed-records.js'
import { PartitionRecords } from './partition-records.js'
import { offsetBehind } from './read-batches.js'

/** A batch as the broker hands it out: with its offset, of one record whose value is `text`. */
function batch(offset: number, producerId: bigint, text: string, key = ''): Buffer {
  return handedOut(offset, producerId, recordsOf(text, key))
}

/** The same, compressed. */
async function compressedBatch(offset: number, type: CompressionType, text: string): Promise<Buffer> {
  const records = recordsOf(text, '', type)
  await records.close()
  return handedOut(offset, 1n, records)
}

function recordsOf(text: string, key: string, compression: Compression = 'none'): PartitionRecords {
  const records = new PartitionRecords('t', 0, { maxMessageBytes: 10_000_000, compression })
  const source = Buffer.from(key + text, 'latin1')
  records.append(0, source, 0, key.length, key.length, source.length, 0, [])
  return records
}

function handedOut(offset: number, producerId: bigint, records: PartitionRecords): Buffer {
  const [sealed = Buffer.alloc(0)] = records.takeBatches().map((open) => open.seal(producerId, 0, 0))
  const bytes = Buffer.from(sealed)
  bytes.writeBigInt64BE(BigInt(offset), batchLayout.baseOffset)
  return bytes
}

const plenty = 64 * 1024 * 1024

const markerKey = { abort: '\0\0\0\0', commit: '\0\0\0\x01' }

/** A control batch: the end of the transaction of `producerId`. */
function marker(offset: number, producerId: bigint, kind: 'abort' | 'commit'): Buffer {
  const bytes = batch(offset, producerId, '', markerKey[kind])
  bytes.writeInt16BE(0x30, batchLayout.attributes)
  return resealed(bytes)
}

/** With the checksum that its bytes have now. */
function resealed(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32c(bytes.subarray(batchLayout.attributes)), batchLayout.crc)
  return bytes
}

const within = (decompressedBytesMax: number, from = 0n) => ({ from, decompressedBytesMax })

const visible = (batches: readonly Buffer[], aborted: readonly [producerId: bigint, firstOffset: bigint][]) =>
  committedRecords(
    Buffer.concat(batches),
    aborted.map(([producerId, firstOffset]) => ({ producerId, firstOffset })),
    within(plenty),
  ).records.map(({ value }) => value?.toString())

describe('a read_committed reader', () => {
  test('sees nothing of transactions that overlap and are aborted, listed in the order of their aborts', () => {
    const log = [
      batch(0, 1n, 'one'),
      batch(1, 2n, 'two'),
      marker(2, 2n, 'abort'),
      batch(3, 1n, 'one again'),
      marker(4, 1n, 'abort'),
      batch(5, 3n, 'kept'),
    ]
    expect(
      visible(log, [
        [2n, 1n],
        [1n, 0n],
      ]),
    ).toEqual(['kept'])
  })

  test('sees nothing of several aborted transactions that begin in one batch range', () => {
    const log = [
      batch(7, 1n, 'one'),
      batch(8, 2n, 'two'),
      marker(9, 1n, 'abort'),
      marker(10, 2n, 'abort'),
      batch(11, 1n, 'later'),
    ]
    // All three are due at the first batch: reading began in the middle of them.
    expect(
      visible(log, [
        [1n, 2n],
        [2n, 3n],
        [3n, 4n],
      ]),
    ).toEqual(['later'])
  })

  test('does not take a record with the key of a marker for a marker', () => {
    const log = [
      batch(0, 1n, 'aborted', markerKey.abort),
      batch(1, 1n, 'aborted too'),
      marker(2, 1n, 'abort'),
      batch(3, 2n, 'kept', markerKey.abort),
    ]
    expect(visible(log, [[1n, 0n]])).toEqual(['kept'])
  })

  test('sees the next transaction of a producer that aborted one, also in the same answer', () => {
    const log = [
      batch(0, 1n, 'no'),
      marker(1, 1n, 'abort'),
      batch(2, 1n, 'yes'),
      marker(3, 1n, 'commit'),
      batch(4, 1n, 'no'),
      marker(5, 1n, 'abort'),
    ]
    expect(
      visible(log, [
        [1n, 0n],
        [1n, 4n],
      ]),
    ).toEqual(['yes'])
  })

  test('goes on behind the last whole batch', () => {
    const whole = batch(5, 1n, 'whole')
    const range = committedRecords(
      Buffer.concat([whole, batch(6, 1n, 'cut off').subarray(0, 70)]),
      [],
      within(plenty),
    )
    expect([range.records.length, range.nextOffset]).toEqual([1, 6n])
    expect(committedRecords(Buffer.alloc(0), [], within(plenty)).nextOffset).toBeUndefined()
  })

  test('sees nothing of what lies before the offset that was asked for', () => {
    const read = (from: bigint) => committedRecords(batch(5, 1n, 'five'), [], within(plenty, from))
    expect(read(6n)).toEqual({ records: [], nextOffset: undefined })
    expect(read(5n)).toMatchObject({ records: [{ offset: 5n }], nextOffset: 6n })
  })

  test('goes on behind an offset that no double holds', () => {
    const bytes = batch(0, 1n, 'far')
    bytes.writeBigInt64BE(2n ** 53n + 1n, batchLayout.baseOffset)
    expect(committedRecords(bytes, [], within(plenty))).toMatchObject({
      records: [{ offset: 9_007_199_254_740_993n }],
      nextOffset: 9_007_199_254_740_994n,
    })
    expect(offsetBehind(bytes)).toBe(9_007_199_254_740_994n)
  })

  test('takes of an answer what may be decompressed at once, and leaves the rest to the next', async () => {
    const text = 'x'.repeat(1_000)
    const log = await Promise.all(
      (['gzip', 'snappy', 'lz4', 'zstd'] as const).map((type, offset) => compressedBatch(offset, type, text)),
    )
    const read = (from: number, bytesMax: number): [number, bigint | undefined] => {
      const { records, nextOffset } = committedRecords(Buffer.concat(log.slice(from)), [], within(bytesMax))
      return [records.length, nextOffset]
    }
    expect(read(0, plenty)).toEqual([4, 4n])
    expect(read(0, 3_500)).toEqual([3, 3n])
    expect(read(1, 1_500)).toEqual([1, 2n])
  })

  test('refuses a batch that is too large by itself, once those before it are read', async () => {
    const bomb = await compressedBatch(7, 'gzip', 'x'.repeat(5_000_000))
    const log = Buffer.concat([batch(6, 1n, 'before'), bomb])
    expect(committedRecords(log, [], within(1_048_576))).toMatchObject({
      nextOffset: 7n,
      records: { length: 1 },
    })
    expect(() => committedRecords(bomb, [], within(1_048_576))).toThrow(
      expect.objectContaining({ code: 'KAFKA_BATCH_TOO_LARGE', details: { offset: '7' } }),
    )
  })

  test('skips what is aborted without decompressing it', async () => {
    const bomb = await compressedBatch(7, 'gzip', 'x'.repeat(5_000_000))
    const aborted = [{ producerId: 1n, firstOffset: 7n }]
    expect(committedRecords(bomb, aborted, within(1_048_576))).toEqual({ records: [], nextOffset: 8n })
  })

  test('says where it found what does not decompress, what no codec is known for, and what its checksum was not made of', async () => {
    const bytes = await compressedBatch(7, 'lz4', 'x'.repeat(1_000))
    const damaged = Buffer.from(bytes)
    damaged.fill(0xff, batchLayout.records + 8)
    const foreign = Buffer.from(bytes)
    foreign.writeInt16BE(0x15, batchLayout.attributes)
    const torn = handedOut(7, 1n, recordsOf('damaged', ''))
    torn.writeUInt8(torn.readUInt8(torn.length - 2) ^ 1, torn.length - 2)
    for (const log of [resealed(damaged), resealed(foreign), torn])
      expect(() => committedRecords(log, [], within(plenty))).toThrow(
        expect.objectContaining({ code: 'KAFKA_PROTOCOL', details: { offset: '7' } }),
      )
  })

  test('takes the time of the broker for all records when the batch has that', () => {
    const bytes = batch(0, 1n, 'one')
    bytes.writeBigInt64BE(1_700_000_000_000n, batchLayout.maxTimestamp)
    expect(committedRecords(resealed(bytes), [], within(plenty)).records[0]?.timestampMs).toBe(0)
    bytes.writeInt16BE(0x18, batchLayout.attributes)
    expect(committedRecords(resealed(bytes), [], within(plenty)).records[0]?.timestampMs).toBe(
      1_700_000_000_000,
    )
  })
})
