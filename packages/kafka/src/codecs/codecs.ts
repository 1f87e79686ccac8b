import { OutboxError } from '@oncebox/core'
import { within } from '../options.js'
import type { Codec, Compression, CompressionType } from './codec.js'
import { gzip } from './gzip.js'
import { lz4 } from './lz4.js'
import { snappy } from './snappy.js'
import { zstd } from './zstd.js'

const codecs: Readonly<Record<CompressionType, (level?: number) => Codec>> = { gzip, snappy, lz4, zstd }
const levelMax: Readonly<Record<CompressionType, number | undefined>> = {
  gzip: 9,
  snappy: undefined,
  lz4: undefined, // Java's lz4 has levels, the library's has not
  zstd: 22,
}
const typeOfId: readonly (CompressionType | undefined)[] = [undefined, 'gzip', 'snappy', 'lz4', 'zstd']

// Options come from JavaScript files, too: whatever is not one of the names is refused.
const isType = (name: unknown): name is CompressionType =>
  typeof name === 'string' && Object.hasOwn(codecs, name)

/**
 * The codec of a compression, ready for use; undefined for none.
 *
 * @throws OutboxError KAFKA_OPTIONS_INVALID, KAFKA_CODEC_MISSING
 */
export function codecFor(compression: Compression): Codec | undefined {
  if (compression === 'none') return undefined
  const { type, level } =
    typeof compression === 'object' && compression !== null
      ? compression
      : { type: compression, level: undefined }
  if (!isType(type)) throw invalid(`compression is ${JSON.stringify(compression)}: one of none, ${names}`)
  if (level === undefined) return loaded(type)
  const max = levelMax[type]
  if (max === undefined) throw invalid(`compression.level is ${level}: ${type} has no levels`)
  return loaded(type, within('compression.level', level, 1, max))
}

/**
 * The codec of a batch that was read, by the bits of its attributes; undefined when there is none with this id.
 *
 * @throws OutboxError KAFKA_CODEC_MISSING
 */
export function codecOfId(id: number): Codec | undefined {
  const type = typeOfId[id]
  return type && loaded(type)
}

const names = Object.keys(codecs).join(', ')

// One for each type and level that was asked for: 35 at most.
const cache = new Map<string, Codec>()

function loaded(type: CompressionType, level?: number): Codec {
  const key = `${type} ${level ?? ''}`
  const known = cache.get(key)
  if (known !== undefined) return known
  const codec = codecs[type](level)
  cache.set(key, codec)
  return codec
}

const invalid = (message: string): OutboxError => new OutboxError('KAFKA_OPTIONS_INVALID', message)
