import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KeyNames } from './names.js'

/** What Redis Cluster hashes: between the first { and the next }, unless there is nothing in it. */
function hashed(key: string): string {
  const open = key.indexOf('{')
  const close = key.indexOf('}', open + 1)
  return open === -1 || close <= open + 1 ? key : key.slice(open + 1, close)
}

const word = fc.string({ minLength: 1, maxLength: 40, unit: 'binary' })

describe('keys of a store', () => {
  test('are in one slot, whatever sources and ids are', () => {
    const names = new KeyNames('billing', undefined)
    fc.assert(
      fc.property(word, word, (source, id) => {
        expect(hashed(names.mark({ source, id }))).toBe(hashed(names.sentinel))
        expect(hashed(names.remembered({ source, id }))).toBe('oncebox:billing')
      }),
    )
    expect(hashed(new KeyNames('billing', 'apple').mark({ source: '{x}', id: '}' }))).toBe('apple')
  })

  test('are different for different events and consumers', () => {
    const key = fc.record({ consumer: fc.constantFrom('a', 'a:b', 'b', '1:a'), source: word, id: word })
    const keyOf = ({ consumer, ...event }: { consumer: string; source: string; id: string }): string =>
      new KeyNames(consumer, 'tag').mark(event)
    fc.assert(
      fc.property(key, key, (one, other) => {
        const isSame = one.consumer === other.consumer && one.source === other.source && one.id === other.id
        expect(keyOf(one) === keyOf(other)).toBe(isSame)
      }),
    )
    expect(new KeyNames('a', 't').mark({ source: 'a:b', id: 'c' })).not.toBe(
      new KeyNames('a', 't').mark({ source: 'a', id: 'b:c' }),
    )
  })

  test.each(['', 'a{b', 'a}b', 'x'.repeat(256)])('are refused for the consumer %j', (consumer) => {
    expect(() => new KeyNames(consumer, undefined)).toThrow(
      expect.objectContaining({ code: 'CONSUMER_OPTIONS_INVALID' }),
    )
  })
})
