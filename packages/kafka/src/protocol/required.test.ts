import { describe, expect, test } from 'vitest'
import { requireSupport } from './required.js'

const everything: ReadonlyMap<number, { min: number; max: number }> = new Map(
  Array.from({ length: 100 }, (_, key) => [key, { min: 0, max: 20 }]),
)
const features = new Map([['transaction.version', 2]])

const answer = { errorCode: 0, versions: everything, features, featuresEpoch: 1n }

describe('a broker', () => {
  test('of Kafka 4 runs transactions v2', () => {
    expect(requireSupport(answer, 'b:1')).toBe(2)
  })

  test('whose cluster has not finalized transactions v2 runs v1', () => {
    for (const level of [new Map<string, number>(), new Map([['transaction.version', 1]])])
      expect(requireSupport({ ...answer, features: level }, 'b:1')).toBe(1)
  })

  test('that lacks a version is refused by name', () => {
    const versions = new Map(everything).set(0, { min: 3, max: 11 })
    expect(() => requireSupport({ ...answer, versions }, 'b:1')).toThrow(/Produce 3 to 11, version 12/)
    // Without transactions v2, Produce 11 is enough.
    expect(requireSupport({ ...answer, versions, features: new Map() }, 'b:1')).toBe(1)
  })

  test('too old to say what it speaks is refused', () => {
    const old = { errorCode: 35, versions: new Map(), features: new Map(), featuresEpoch: -1n }
    expect(() => requireSupport(old, 'b:1')).toThrow(/UNSUPPORTED_VERSION/)
  })
})
