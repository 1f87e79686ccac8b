import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Reader } from './reader.js'
import {
  unsignedVarintSize,
  varintSize,
  varlongSize,
  writeUnsignedVarint,
  writeVarint,
  writeVarlong,
} from './varint.js'

const target = Buffer.alloc(16)

describe('variable-length integers', () => {
  test('are the bytes that the protocol documents', () => {
    const hex = (value: number): string => target.subarray(0, writeVarint(target, 0, value)).toString('hex')
    expect([0, -1, 1, -2, 63, 64, 300, -300, 2 ** 31 - 1, -(2 ** 31)].map(hex)).toEqual([
      '00',
      '01',
      '02',
      '03',
      '7e',
      '8001',
      'd804',
      'd704',
      'feffffff0f',
      'ffffffff0f',
    ])
  })

  test('come back as they were, in as many bytes as their size says', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (value) => {
        expect(writeVarint(target, 0, value)).toBe(varintSize(value))
        expect(new Reader(target).varint()).toBe(value)
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => {
        expect(writeUnsignedVarint(target, 0, value)).toBe(unsignedVarintSize(value))
        expect(new Reader(target).unsignedVarint()).toBe(value)
      }),
    )
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        expect(writeVarlong(target, 0, value)).toBe(varlongSize(value))
        expect(new Reader(target).varlong()).toBe(BigInt(value))
      }),
    )
  })
})
