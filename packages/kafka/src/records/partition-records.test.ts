import { randomBytes } from 'node:crypto'
import { crc32c } from '@node-rs/crc32'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Compression } from '../codecs/codec.js'
import { batchAttributes, batchLayout } from './batch-layout.js'
import { Decompression } from './decompression.js'
import { encodeHeader } from './header.js'
import { PartitionRecords } from './partition-records.js'
import { readBatches } from './read-batches.js'

const megabyte = 1_048_588

const seal = (records: PartitionRecords): Buffer[] => {
  let sequence = 0
  return records.takeBatches().map((batch) => {
    const bytes = batch.seal(9_007_199_254_740_993n, 7, sequence)
    sequence += batch.count
    return bytes
  })
}

const readAll = (batches: readonly Buffer[]) =>
  batches.flatMap((bytes) =>
    [...readBatches(bytes)].flatMap((batch) => batch.records(new Decompression(megabyte))),
  )

/** Appends a record whose key and value lie somewhere inside a larger buffer, as in a row. */
function append(
  records: PartitionRecords,
  timestampMs: number,
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: [string, string][] = [],
): void {
  const source = Buffer.concat(
    [Buffer.from('row:'), key ?? '', Buffer.from('|'), value ?? ''].map((part) => Buffer.from(part)),
  )
  const keyEnd = 4 + (key?.length ?? 0)
  const pieces = headers.map(([name, text]) => encodeHeader(name, text))
  records.append(
    timestampMs,
    source,
    key === null ? -1 : 4,
    keyEnd,
    value === null ? -1 : keyEnd + 1,
    source.length,
    headers.length,
    pieces,
  )
}

const compressions: readonly Compression[] = [
  'none',
  'gzip',
  'snappy',
  'lz4',
  'zstd',
  { type: 'zstd', level: 9 },
]

describe('records of a partition', () => {
  test('are read back as they were appended, over as many batches as it takes, compressed or not', async () => {
    const bytes = fc.option(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.string({ maxLength: 300 }).map((text) => Buffer.from(text)),
      ),
    )
    const record = fc.record({
      timestampMs: fc.integer({ min: -(2 ** 42), max: 2 ** 42 }),
      key: bytes,
      value: bytes,
      headers: fc.array(fc.tuple(fc.string({ maxLength: 20 }), fc.string({ maxLength: 90 })), {
        maxLength: 3,
      }),
    })
    const appends = fc.array(record, { minLength: 1, maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(appends, fc.constantFrom(...compressions), async (appended, compression) => {
        const records = new PartitionRecords('orders', 3, { maxMessageBytes: 4_096, compression })
        for (const { timestampMs, key, value, headers } of appended)
          append(records, timestampMs, key, value, headers)
        expect(records.count).toBe(appended.length)
        const appendedBytes = records.bytes
        await records.close()
        const size = records.bytes
        expect(size).toBeLessThanOrEqual(appendedBytes)
        const batches = seal(records)
        expect(batches.reduce((sum, batch) => sum + batch.length, 0)).toBe(size)
        for (const batch of batches) expect(batch.length).toBeLessThanOrEqual(4_096)
        const expected = appended.map(({ timestampMs, key, value, headers }) => ({
          timestampMs,
          key: key && Buffer.from(key),
          value: value && Buffer.from(value),
          headers: headers.map(([name, text]) => [name, Buffer.from(text)]),
        }))
        const read = readAll(batches).map(({ timestampMs, key, value, headers }) => ({
          timestampMs,
          key,
          value,
          headers,
        }))
        expect(read).toEqual(expected)
      }),
      { numRuns: 100 },
    )
  })

  test('carry a checksum, producer and sequence that the broker can verify', () => {
    const records = new PartitionRecords('orders', 0, { maxMessageBytes: megabyte })
    append(records, 1_000, Buffer.from('k'), Buffer.from('v'))
    append(records, 990, Buffer.from('k'), Buffer.from('v')) // clocks go backwards
    const [batch = Buffer.alloc(0)] = seal(records)
    expect(batch.readUInt32BE(batchLayout.crc)).toBe(crc32c(batch.subarray(batchLayout.attributes)))
    expect(batch.readInt32BE(batchLayout.length)).toBe(batch.length - 12)
    expect(batch.readInt16BE(batchLayout.attributes)).toBe(0x10)
    expect(batch.readBigInt64BE(batchLayout.producerId)).toBe(9_007_199_254_740_993n)
    expect(batch.readInt16BE(batchLayout.producerEpoch)).toBe(7)
    expect(batch.readInt32BE(batchLayout.baseSequence)).toBe(0)
    expect(batch.readInt32BE(batchLayout.recordCount)).toBe(2)
    expect(batch.readInt32BE(batchLayout.lastOffsetDelta)).toBe(1)
    expect(batch.readBigInt64BE(batchLayout.baseTimestamp)).toBe(1_000n)
    expect(batch.readBigInt64BE(batchLayout.maxTimestamp)).toBe(1_000n)
    expect(readAll([batch]).map(({ timestampMs }) => timestampMs)).toEqual([1_000, 990])
  })

  test('too large for the topic are refused and leave the batch as it was', () => {
    const records = new PartitionRecords('orders', 0, { maxMessageBytes: 1_000 })
    append(records, 1, Buffer.from('k'), Buffer.from('small'))
    const before = records.bytes
    expect(() => append(records, 1, Buffer.from('k'), Buffer.alloc(1_000))).toThrow(
      expect.objectContaining({ code: 'KAFKA_RECORD_TOO_LARGE' }),
    )
    expect([records.count, records.bytes]).toEqual([1, before])
    append(records, 2, Buffer.from('k'), Buffer.from('next'))
    expect(readAll(seal(records)).map(({ value }) => value?.toString())).toEqual(['small', 'next'])
  })

  test('that exactly reach the limit are taken', () => {
    const fits = (bytes: number): boolean => {
      const records = new PartitionRecords('orders', 0, { maxMessageBytes: 1_000 })
      try {
        append(records, 1, null, Buffer.alloc(bytes))
      } catch {
        return false
      }
      expect(records.bytes).toBeLessThanOrEqual(1_000)
      return true
    }
    const largest = Array.from({ length: 1_000 }, (_, bytes) => bytes).findLast(fits) ?? 0
    const records = new PartitionRecords('orders', 0, { maxMessageBytes: 1_000 })
    append(records, 1, null, Buffer.alloc(largest))
    expect(records.bytes).toBe(1_000)
  })

  test('are published once', () => {
    const records = new PartitionRecords('orders', 0, { maxMessageBytes: 1_000 })
    append(records, 1, null, null)
    records.takeBatches()
    expect(() => records.takeBatches()).toThrow(/published once/)
    expect(() => append(records, 1, null, null)).toThrow(/before they are published/)
  })

  test('are smaller when compressed, say so in each batch, and carry the checksum of what is sent', async () => {
    const filled = (compression: Compression): PartitionRecords => {
      const records = new PartitionRecords('orders', 0, { maxMessageBytes: 16_384, compression })
      for (let n = 0; n < 2_000; n++)
        append(records, 1_000 + n, Buffer.from(`k-${n}`), Buffer.from('an order'))
      return records
    }
    const records = filled('lz4')
    await records.close()
    expect(records.bytes).toBeLessThan(filled('none').bytes / 2)
    const batches = seal(records)
    expect(batches.length).toBeGreaterThan(2)
    expect(batches.reduce((sum, batch) => sum + batch.length, 0)).toBe(records.bytes)
    for (const batch of batches) {
      expect(batch.readInt32BE(batchLayout.length)).toBe(batch.length - 12)
      expect(batch.readUInt32BE(batchLayout.crc)).toBe(crc32c(batch.subarray(batchLayout.attributes)))
      expect(batch.readInt16BE(batchLayout.attributes)).toBe(0x10 | 3)
    }
    expect(batches.at(-1)?.readBigInt64BE(batchLayout.maxTimestamp)).toBe(2_999n)
    expect(readAll(batches)).toHaveLength(2_000)
  })

  test('that do not become smaller go out as they are', async () => {
    for (const compression of compressions) {
      const records = new PartitionRecords('orders', 0, { maxMessageBytes: megabyte, compression })
      const noise = randomBytes(1_000)
      append(records, 1, null, noise)
      const plainBytes = records.bytes
      await records.close()
      const [batch = Buffer.alloc(0)] = seal(records)
      expect(batch.length).toBe(plainBytes)
      expect(batch.readInt16BE(batchLayout.attributes) & batchAttributes.compression).toBe(0)
      expect(readAll([batch])[0]?.value).toEqual(noise)
    }
  })

  test('are compressed once and can be sealed again, for another epoch', async () => {
    const records = new PartitionRecords('orders', 0, { maxMessageBytes: megabyte, compression: 'zstd' })
    append(records, 1, Buffer.from('k'), Buffer.from('an order, '.repeat(100)))
    await Promise.all([records.close(), records.close()])
    const [batch] = records.takeBatches()
    const first = Buffer.from(batch?.seal(1n, 1, 0) ?? [])
    const second = Buffer.from(batch?.seal(1n, 2, 0) ?? [])
    expect(second.readInt16BE(batchLayout.producerEpoch)).toBe(2)
    expect(second.readUInt32BE(batchLayout.crc)).toBe(crc32c(second.subarray(batchLayout.attributes)))
    expect(second.subarray(batchLayout.records)).toEqual(first.subarray(batchLayout.records))
    expect(readAll([second])[0]?.value?.toString()).toBe('an order, '.repeat(100))
  })

  test('take no more when they are closed, and are closed before they are published', async () => {
    const records = new PartitionRecords('orders', 0, { maxMessageBytes: 1_000, compression: 'gzip' })
    append(records, 1, null, null)
    expect(() => records.takeBatches()).toThrow(/closed before/)
    const closing = records.close()
    expect(() => records.takeBatches()).toThrow(/closed before/) // what is being compressed is not ready either
    expect(() => append(records, 1, null, null)).toThrow(/before they are published/)
    await closing
    expect(records.takeBatches()).toHaveLength(1)
  })
})
