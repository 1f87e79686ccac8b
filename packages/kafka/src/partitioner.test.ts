import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { murmur2, partitionForKey } from './partitioner.js'

// Key in hex, what org.apache.kafka.common.utils.Utils.murmur2 returned for it, and the partition of 7 that Java's
// producer chose. The integration test keys-go-where-java-sends-them asks Java again, and writes the table.
const table = readFileSync(new URL('../test/java-partitions-of-7.txt', import.meta.url), 'latin1')
const fromJava = table
  .trimEnd()
  .split('\n')
  .map((line): [hex: string, hash: number, partition: number] => {
    const [hex = '', hash, partition] = line.split(' ')
    return [hex, Number(hash), Number(partition)]
  })

describe('the partition of a key', () => {
  test('is known for keys of all small lengths', () => {
    expect(fromJava.length).toBeGreaterThan(40)
  })

  test.each(fromJava)('has the hash that Java computes: %s', (hex, hash) => {
    expect(murmur2(Buffer.from(hex, 'hex'))).toBe(hash)
  })

  test('is never negative, and the same for a range as for its copy', () => {
    for (const [hex, , partition] of fromJava) {
      const key = Buffer.from(hex, 'hex')
      const row = Buffer.concat([Buffer.from('row'), key, Buffer.from('rest')])
      expect(partitionForKey(key, 7)).toBe(partition)
      expect(partitionForKey(row, 7, 3, 3 + key.length)).toBe(partition)
    }
  })
})
