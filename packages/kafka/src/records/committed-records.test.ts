import { describe, expect, test } from 'vitest'
import { batchLayout } from './batch-layout.js'
import { committedRecords } from './committed-records.js'
import { PartitionRecords } from './partition-records.js'

/** A batch as the broker hands it out: with its offset, of one record whose value is `text`. */
function batch(offset: number, producerId: bigint, text: string, key = ''): Buffer {
  const records = new PartitionRecords('t', 0, { maxMessageBytes: 1_000 })
  const source = Buffer.from(key + text, 'latin1')
  records.append(0, source, 0, key.length, key.length, source.length, 0, [])
  const [sealed = Buffer.alloc(0)] = records.takeBatches().map((open) => open.seal(producerId, 0, 0))
  const bytes = Buffer.from(sealed)
  bytes.writeBigInt64BE(BigInt(offset), batchLayout.baseOffset)
  return bytes
}

const markerKey = { abort: '\0\0\0\0', commit: '\0\0\0\x01' }

/** A control batch: the end of the transaction of `producerId`. */
function marker(offset: number, producerId: bigint, kind: 'abort' | 'commit'): Buffer {
  const bytes = batch(offset, producerId, '', markerKey[kind])
  bytes.writeInt16BE(0x30, batchLayout.attributes)
  return bytes
}

const visible = (batches: readonly Buffer[], aborted: readonly [producerId: bigint, firstOffset: bigint][]) =>
  committedRecords(
    Buffer.concat(batches),
    aborted.map(([producerId, firstOffset]) => ({ producerId, firstOffset })),
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
    const range = committedRecords(Buffer.concat([whole, batch(6, 1n, 'cut off').subarray(0, 70)]), [])
    expect([range.records.length, range.nextOffset]).toEqual([1, 6n])
    expect(committedRecords(Buffer.alloc(0), []).nextOffset).toBeUndefined()
  })
})
