import { Encoder } from '@toondepauw/node-zstd'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { zstdFrameBytes } from './zstd-frame.js'

const blockBytes = 128 * 1024
const content = fc
  .tuple(fc.uint8Array({ maxLength: 500 }), fc.string({ minLength: 1, maxLength: 20 }), fc.nat(30_000))
  .map(([noise, part, times]) => Buffer.concat([noise, Buffer.from(part.repeat(times)), noise]))
const encoders = [new Encoder(1), new Encoder(3), new Encoder(9)]

test('the size of frames is never counted too low, and never as twice of it and a block each', () => {
  fc.assert(
    fc.property(fc.array(content, { minLength: 1, maxLength: 3 }), fc.nat(2), (contents, level) => {
      const frames = contents.map((bytes) => encoders[level]?.encodeSync(bytes) ?? bytes)
      const bytes = contents.reduce((sum, { length }) => sum + length, 0)
      const counted = zstdFrameBytes(Buffer.concat(frames))
      expect(counted).toBeGreaterThanOrEqual(bytes)
      // A compressor may end a block early, and a block does not say how much it holds: it counts as a full one.
      expect(counted).toBeLessThanOrEqual(2 * bytes + contents.length * blockBytes)
    }),
    { numRuns: 30 },
  )
})

test('a frame that can be skipped counts nothing, and one that only says how small it is counts what it holds', () => {
  const skippable = Buffer.from('5a2a4d1804000000ffffffff', 'hex')
  // Single segment, content size 1, no window; a raw block of 5 bytes follows all the same.
  const liar = Buffer.from('28b52ffd20012900006f72646572', 'hex')
  expect(zstdFrameBytes(Buffer.concat([skippable, liar]))).toBe(5)
})

test('what is no frame, or ends inside its headers, is refused', () => {
  const frame = new Encoder(3).encodeSync(Buffer.from('an order, an order, an order'))
  for (let end = 1; end < 9; end++) expect(() => zstdFrameBytes(frame.subarray(0, end))).toThrow(RangeError)
  expect(() => zstdFrameBytes(Buffer.from('an order'))).toThrow(RangeError)
})
