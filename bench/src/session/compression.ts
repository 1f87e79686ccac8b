import type { CompressionType } from '@oncebox/kafka'
import { WrongUse } from '../wrong-use.js'

const names = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** A compression by Kafka's name for it, which all clients share. */
export function compressionNamed(name: string): 'none' | CompressionType {
  const found = names.find((known) => known === name)
  if (found === undefined) throw new WrongUse(`--compression ${name}: it must be one of ${names.join(', ')}`)
  return found
}
