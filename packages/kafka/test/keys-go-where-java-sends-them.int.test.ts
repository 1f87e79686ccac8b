import { createHash, randomBytes, randomInt } from 'node:crypto'
import { sharedStack } from '@internal/stack'
import { expect, test } from 'vitest'
import { murmur2, partitionForKey } from '../src/index.js'
import { runJava } from './record-lines.js'

/** What Java makes of keys: `[hash, partition]` each. */
async function askJava(
  keys: readonly (readonly [key: Buffer, partitions: number])[],
): Promise<[hash: number, partition: number][]> {
  const lines = keys.map(([key, partitions]) => `${key.toString('hex')} ${partitions}`)
  const output = await runJava('KeyPartitions', sharedStack().kafka.classpath, { file: lines.join('\n') })
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const [hash, partition] = line.split(' ').map(Number)
      return [hash ?? Number.NaN, partition ?? Number.NaN]
    })
}

test("random keys of all lengths have the hash and the partition of Java's producer", async () => {
  const texts = ['', 'order-1', 'naïve', '🚀', 'a'.repeat(1_000)].map((text) => Buffer.from(text))
  const noise = Array.from({ length: 4_100 }, (_, index) => randomBytes(index % 41))
  // Where the sign of a byte counts, one bit at a time.
  const high = Array.from({ length: 41 }, (_, bytes) => Buffer.alloc(bytes, 0x80))
  const full = Array.from({ length: 41 }, (_, bytes) => Buffer.alloc(bytes, 0xff))
  const keys = [...texts, ...noise, ...high, ...full].map(
    (key) => [key, randomInt(1, 3) === 1 ? randomInt(1, 13) : randomInt(1, 2 ** 31 - 1)] as const,
  )
  const ours = keys.map(([key, partitions]) => [murmur2(key), partitionForKey(key, partitions)])
  expect(ours).toEqual(await askJava(keys))
})

test('the table of the unit test is what Java computes', async () => {
  const keyOf = (bytes: number): Buffer => {
    const digest = createHash('sha512').update(`key of ${bytes} bytes`).digest()
    return Buffer.concat([digest, digest, digest, digest]).subarray(0, bytes)
  }
  const keys = [...Array.from({ length: 41 }, (_, bytes) => keyOf(bytes)), keyOf(97), keyOf(200), keyOf(255)]
  const found = await askJava(keys.map((key) => [key, 7]))
  const lines = keys.map((key, index) => `${key.toString('hex')} ${found[index]?.join(' ') ?? ''}\n`)
  // `vitest -u` writes it again.
  await expect(lines.join('')).toMatchFileSnapshot('./java-partitions-of-7.txt')
})
