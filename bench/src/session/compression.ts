import type { CompressionType } from '@oncebox/kafka'

const names = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

/** A compression by Kafka's name for it, which all clients share. */
export function compressionNamed(name: string): 'none' | CompressionType {
  const found = names.find((known) => known === name)
  if (found === undefined) throw new Error(`--compression ${name}: it must be one of ${names.join(', ')}`)
  return found
}
