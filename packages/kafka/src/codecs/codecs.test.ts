import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DecompressedTooLarge, type Codec, type Compression } from './codec.js'
import { codecFor, codecOfId } from './codecs.js'
import { optionalPackage } from './optional-package.js'

// What the Compression classes of kafka-clients 4.3.1 wrote for this text.
const text = 'an order, an order, an order'
const fromJava = {
  gzip: '1f8b08000000000000ff4bcc53c82f4a492dd25148c4600100d0bbf5431c000000',
  snappy: '82534e415050590000000001000000010000000f1c24616e206f726465722c20460a00',
  lz4: '04224d1860408213000000a9616e206f726465722c200a00506f7264657200000000',
  zstd: '28b52ffd005884000050616e206f726465722c200100f50a12010000',
} as const
const types = ['gzip', 'snappy', 'lz4', 'zstd'] as const

function codec(compression: Compression): Codec {
  const found = codecFor(compression)
  if (found === undefined) throw new Error(`no codec for ${JSON.stringify(compression)}`)
  return found
}

const plenty = 64 * 1024 * 1024
const compressed = async (compression: Compression, bytes: Buffer): Promise<Buffer> =>
  Buffer.from(await codec(compression).compress(bytes))

/** Text and noise in turn, so that there are literals, matches, long ones of both, and blocks that are not compressed. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.string({ minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 3_000 }))
        .map(([part, times]) => Buffer.from(part.repeat(times))),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((parts) => Buffer.concat([...parts, Buffer.from('.')]))

describe.each(types)('%s', (type) => {
  test('reads what Java wrote', () => {
    expect(codec(type).decompress(Buffer.from(fromJava[type], 'hex'), plenty).toString()).toBe(text)
  })

  test('gives back what it was given, and nothing that is larger than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(content, async (bytes) => {
        const small = await compressed(type, bytes)
        expect(codec(type).decompress(small, plenty).equals(bytes)).toBe(true)
        const atOnce = Buffer.from(codec(type).compressSync(bytes))
        expect(codec(type).decompress(atOnce, plenty).equals(bytes)).toBe(true)
        expect(() => codec(type).decompress(small, bytes.length - 1)).toThrow(DecompressedTooLarge)
      }),
      { numRuns: 30 },
    )
  })

  test('refuses a bomb before it goes off', async () => {
    const bomb = await compressed(type, Buffer.alloc(100_000_000))
    const before = process.memoryUsage()
    expect(() => codec(type).decompress(bomb, 1_000_000)).toThrow(DecompressedTooLarge)
    const after = process.memoryUsage()
    expect(after.external - before.external).toBeLessThan(10_000_000)
  })

  test('comes to an end on any bytes, with an error or no more than allowed', async () => {
    const valid = await compressed(type, Buffer.from(text.repeat(50)))
    const damaged = fc
      .tuple(
        fc.nat({ max: valid.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        fc.nat({ max: valid.length }),
      )
      .map(([at, flip, cut]) => {
        const bytes = Buffer.from(valid.subarray(0, Math.max(at + 1, cut)))
        bytes.writeUInt8(bytes.readUInt8(at) ^ flip, at)
        return bytes
      })
    const noise = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
    const headed = noise.map((bytes) => Buffer.concat([valid.subarray(0, 8), bytes]))
    fc.assert(
      fc.property(fc.oneof(damaged, noise, headed), (bytes) => {
        try {
          expect(codec(type).decompress(bytes, 10_000).length).toBeLessThanOrEqual(10_000)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          expect(error).not.toHaveProperty('matcherResult')
        }
      }),
      { numRuns: 500 },
    )
  })

  test('has the id that Kafka gave it', () => {
    expect(codecOfId(codec(type).id)?.type).toBe(type)
    expect(codec(type).id).toBe(1 + types.indexOf(type))
  })

  test('compresses several batches at once, each from its own bytes', async () => {
    const batches = Array.from({ length: 8 }, (_, index) => Buffer.from(`${index} ${text}`.repeat(5_000)))
    const small = await Promise.all(batches.map((bytes) => compressed(type, bytes)))
    expect(small.map((bytes) => codec(type).decompress(bytes, plenty).toString())).toEqual(
      batches.map(String),
    )
  })
})

test.each(['gzip', 'snappy', 'lz4'] as const)('%s gives back exactly as much as is allowed', async (type) => {
  await fc.assert(
    fc.asyncProperty(content, async (bytes) => {
      expect(
        codec(type)
          .decompress(await compressed(type, bytes), bytes.length)
          .equals(bytes),
      ).toBe(true)
    }),
    { numRuns: 30 },
  )
})

test('snappy without the framing is read, too', () => {
  const raw = Buffer.from(fromJava.snappy, 'hex').subarray(20)
  expect(codec('snappy').decompress(raw, plenty).toString()).toBe(text)
})

test.each(['gzip', 'zstd'] as const)('%s makes less of it with a higher level', async (type) => {
  const bytes = Buffer.from(
    Array.from({ length: 20_000 }, (_, index) => `${(index * 7_919) % 104_729}:${index % 13}`).join(),
  )
  const [low, high] = await Promise.all([1, 9].map((level) => compressed({ type, level }, bytes)))
  expect(high?.length).toBeLessThan(low?.length ?? 0)
})

describe('a compression', () => {
  test('none is no codec', () => {
    expect(codecFor('none')).toBeUndefined()
    expect(codecOfId(0)).toBeUndefined()
    expect(codecOfId(5)).toBeUndefined()
  })

  test.each<[string, unknown]>([
    ['an unknown name', 'brotli'],
    ['no name', null],
    ['a name of every object', 'constructor'],
    ['a level out of bounds', { type: 'gzip', level: 10 }],
    ['a level that is no number', { type: 'zstd', level: 'best' }],
    ['a level of a format without levels', { type: 'lz4', level: 1 }],
  ])('that is %s is refused', (_name, compression) => {
    // Options come from JavaScript files, too.
    expect(() => codecFor(compression as Compression)).toThrow(
      expect.objectContaining({ code: 'KAFKA_OPTIONS_INVALID' }),
    )
  })

  test('whose package is not installed names it', () => {
    expect(() => optionalPackage('@oncebox/not-installed', 'lz4')).toThrow(
      expect.objectContaining({
        code: 'KAFKA_CODEC_MISSING',
        message: 'lz4 needs the package @oncebox/not-installed: pnpm add @oncebox/not-installed',
        cause: expect.objectContaining({ code: 'MODULE_NOT_FOUND' }) as Error,
      }),
    )
  })
})
