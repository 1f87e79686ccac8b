import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromXerial, toXerial } from './xerial.js'

const block = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes))
const header = toXerial(Buffer.alloc(0)).subarray(0, 16)
const lengthOf = (bytes: Buffer): Buffer => {
  const field = Buffer.alloc(4)
  field.writeInt32BE(bytes.length)
  return field
}

/** As SnappyOutputStream writes blocks. */
const stream = (blocks: readonly Buffer[]): Buffer =>
  Buffer.concat([header, ...blocks.flatMap((bytes) => [lengthOf(bytes), bytes])])

describe('the framing of snappy', () => {
  test('is that of SnappyOutputStream', () => {
    // What snappy-java 1.1.10.7 wrote, with the block in it.
    const java = '82534e415050590000000001000000010000000f1c24616e206f726465722c20460a00'
    expect(toXerial(Buffer.from('1c24616e206f726465722c20460a00', 'hex')).toString('hex')).toBe(java)
  })

  test('gives back the block that it was given', () => {
    fc.assert(
      fc.property(block, (bytes) => {
        expect(fromXerial(toXerial(bytes))).toEqual([bytes])
      }),
    )
  })

  test('gives back the blocks of any number of streams, one behind the other', () => {
    fc.assert(
      fc.property(fc.array(fc.array(block, { maxLength: 5 }), { minLength: 1, maxLength: 4 }), (streams) => {
        expect(fromXerial(Buffer.concat(streams.map(stream)))).toEqual(streams.flat())
      }),
    )
  })

  test('takes what has no header for one block of raw snappy', () => {
    fc.assert(
      fc.property(block, (bytes) => {
        expect(fromXerial(bytes)).toEqual([bytes])
      }),
    )
  })

  test('refuses a stream that is cut off inside a block', () => {
    fc.assert(
      fc.property(block, fc.nat(), (bytes, cut) => {
        const framed = toXerial(bytes)
        const end = 17 + (cut % (framed.length - 17))
        expect(() => fromXerial(framed.subarray(0, end))).toThrow(RangeError)
      }),
    )
  })
})
