import { crc32c } from '@node-rs/crc32'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batchLayout } from '../records/batch-layout.js'
import { PartitionRecords } from '../records/partition-records.js'
import { LastValueSearch } from './last-value-search.js'

/** What happens in a log, one batch after another. */
type Step =
  | { readonly kind: 'records'; readonly producer: number; readonly keys: readonly string[] }
  | { readonly kind: 'plain'; readonly keys: readonly string[] }
  | { readonly kind: 'commit' | 'abort'; readonly producer: number }

interface Written {
  readonly bytes: Buffer
  readonly first: bigint
  readonly last: bigint
}

const attributes = { plain: 0, records: 0x10, commit: 0x30, abort: 0x30 }

function batch(step: Step, offset: bigint): Buffer {
  const records = new PartitionRecords('log', 0, { maxMessageBytes: 100_000 })
  const keys = 'keys' in step ? step.keys : [step.kind === 'commit' ? '\0\0\0\u0001' : '\0\0\0\0']
  for (const [index, key] of keys.entries()) {
    const source = Buffer.from(`${key}${offset + BigInt(index)}`, 'latin1')
    records.append(0, source, 0, key.length, key.length, source.length, 0, [])
  }
  const producerId = 'producer' in step ? BigInt(step.producer) : -1n
  const bytes = Buffer.concat(records.takeBatches().map((one) => one.seal(producerId, 0, 0)))
  bytes.writeBigInt64BE(offset, batchLayout.baseOffset)
  bytes.writeInt16BE(attributes[step.kind], batchLayout.attributes)
  bytes.writeUInt32BE(crc32c(bytes.subarray(batchLayout.attributes)), batchLayout.crc)
  return bytes
}

function write(steps: readonly Step[]): readonly Written[] {
  let offset = 0n
  return steps.map((step) => {
    const first = offset
    offset += BigInt('keys' in step ? step.keys.length : 1)
    return { bytes: batch(step, first), first, last: offset - 1n }
  })
}

/** The same question, answered forwards: offsets of the key's records, once their transactions are committed. */
function committedOffsets(steps: readonly Step[], key: string): readonly bigint[] {
  const open = new Map<number, bigint[]>()
  const committed: bigint[] = []
  let offset = 0n
  for (const step of steps) {
    if ('keys' in step) {
      const own = step.keys.flatMap((one, index) => (one === key ? [offset + BigInt(index)] : []))
      if (step.kind === 'plain') committed.push(...own)
      else open.set(step.producer, [...(open.get(step.producer) ?? []), ...own])
      offset += BigInt(step.keys.length)
      continue
    }
    if (step.kind === 'commit') committed.push(...(open.get(step.producer) ?? []))
    open.delete(step.producer)
    offset += 1n
  }
  return committed
}

/** As readLastValue reads it: stretches from the end, each fetched forwards, its first batch perhaps from before it. */
async function search(log: readonly Written[], before: bigint, length: bigint, key: string) {
  const searching = new LastValueSearch(Buffer.from(key), 1_000_000)
  for (let end = before; end > 0n;) {
    const stretch = { from: end - length > 0n ? end - length : 0n, end }
    const fetched = log.filter(({ first, last }) => last >= stretch.from && first < end)
    // A Fetch brings more than was asked for.
    const behind = log.filter(({ first }) => first >= end).slice(0, 2)
    searching.see(Buffer.concat([...fetched, ...behind].map(({ bytes }) => bytes)), stretch)
    const found = await searching.close(() => Promise.resolve(false))
    if (found !== undefined) return found
    end = stretch.from
  }
  return undefined
}

describe('the last committed value of a key', () => {
  test('is what a reader from the start would have seen last, whoever aborted what in between', async () => {
    const key = fc.constantFrom('position', 'claim', 'positionX')
    const keys = fc.array(key, { minLength: 1, maxLength: 3 })
    const producer = fc.integer({ min: 1, max: 3 })
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 5, arbitrary: fc.record({ kind: fc.constant('records' as const), producer, keys }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('plain' as const), keys }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constantFrom('commit' as const, 'abort' as const), producer }),
      },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.bigInt({ min: 1n, max: 20n }),
        async (steps, length) => {
          const log = write(steps)
          const end = (log.at(-1)?.last ?? -1n) + 1n
          const expected = committedOffsets(steps, 'position').reduce(
            (highest, offset) => (offset > highest ? offset : highest),
            -1n,
          )
          const found = await search(log, end, length, 'position')
          expect(found?.offset ?? -1n).toBe(expected)
          if (found !== undefined) expect(found.value?.toString()).toBe(String(expected))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('is asked for where its transaction ends behind everything that was read', async () => {
    const log = write([
      { kind: 'records', producer: 1, keys: ['position'] },
      { kind: 'records', producer: 2, keys: ['position'] },
      { kind: 'plain', keys: ['claim'] },
      { kind: 'commit', producer: 1 },
      { kind: 'commit', producer: 2 },
    ])
    const asked: bigint[] = []
    const searching = new LastValueSearch(Buffer.from('position'), 1_000_000)
    searching.see(Buffer.concat(log.slice(0, 3).map(({ bytes }) => bytes)), { from: 0n, end: 2n })
    const found = await searching.close((offset) => {
      asked.push(offset)
      return Promise.resolve(offset === 0n)
    })
    expect(asked).toEqual([0n, 1n])
    expect(found?.offset).toBe(0n)
  })
})
