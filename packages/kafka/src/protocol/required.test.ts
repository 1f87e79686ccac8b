import { describe, expect, test } from 'vitest'
import { requireSupport } from './required.js'

const everything: ReadonlyMap<number, { min: number; max: number }> = new Map(
  Array.from({ length: 100 }, (_, key) => [key, { min: 0, max: 20 }]),
)
const features = new Map([['transaction.version', 2]])

describe('a broker', () => {
  test('of Kafka 4 with transactions v2 is taken', () => {
    expect(() => requireSupport({ errorCode: 0, versions: everything, features }, 'b:1')).not.toThrow()
  })

  test('whose cluster runs transactions v1 is refused, as a late EndTxn could end the next transaction', () => {
    for (const level of [new Map(), new Map([['transaction.version', 1]])]) {
      const check = () => requireSupport({ errorCode: 0, versions: everything, features: level }, 'b:1')
      expect(check).toThrow(expect.objectContaining({ code: 'KAFKA_UNSUPPORTED' }))
    }
  })

  test('that lacks a version is refused by name', () => {
    const versions = new Map(everything).set(0, { min: 3, max: 11 })
    expect(() => requireSupport({ errorCode: 0, versions, features }, 'b:1')).toThrow(
      /Produce 3 to 11, version 12/,
    )
  })

  test('too old to say what it speaks is refused', () => {
    expect(() => requireSupport({ errorCode: 35, versions: new Map(), features: new Map() }, 'b:1')).toThrow(
      /UNSUPPORTED_VERSION/,
    )
  })
})
