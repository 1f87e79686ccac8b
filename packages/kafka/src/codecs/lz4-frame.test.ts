import fc from 'fast-check'
import { compressFrameSync } from 'lz4-napi'
import { expect, test } from 'vitest'
import { lz4FrameBytes } from './lz4-frame.js'

// 200 KB of it is more than one block of 64 KiB, 300 KB more than one of 256 KiB.
const content = fc
  .tuple(fc.uint8Array({ maxLength: 500 }), fc.string({ minLength: 1, maxLength: 20 }), fc.nat(30_000))
  .map(([noise, part, times]) => Buffer.concat([noise, Buffer.from(part.repeat(times)), noise]))
const options = fc.record({ contentChecksum: fc.boolean(), blockChecksums: fc.boolean() })

test('the size of a frame is counted exactly when the bound is near, and otherwise never too low', () => {
  fc.assert(
    fc.property(content, options, (bytes, checksums) => {
      const frame = compressFrameSync(bytes, checksums)
      expect(lz4FrameBytes(frame, bytes.length)).toBe(bytes.length)
      expect(lz4FrameBytes(frame, 0)).toBe(bytes.length)
      expect(lz4FrameBytes(frame, 1e9)).toBeGreaterThanOrEqual(bytes.length)
    }),
    { numRuns: 50 },
  )
})

test('what is no frame, or not all of one, is refused', () => {
  const frame = compressFrameSync(Buffer.from('an order, an order, an order'))
  for (let end = 0; end < frame.length - 1; end++)
    expect(() => lz4FrameBytes(frame.subarray(0, end), 1e9)).toThrow(RangeError)
  expect(() => lz4FrameBytes(Buffer.from('an order, an order, an order'), 1e9)).toThrow(RangeError)
})
