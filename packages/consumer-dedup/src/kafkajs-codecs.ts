import { codecOfId } from '@oncebox/kafka'
import kafkajs from 'kafkajs'

const { CompressionCodecs, CompressionTypes } = kafkajs

/**
 * Lets kafkajs's consumer read what a relay compresses: by itself it knows gzip only. Its table of codecs is one for the
 * whole process, so whatever somebody else has plugged in stays.
 */
export function plugInCodecs(decompressedBytesMax: number): void {
  for (const id of [CompressionTypes.Snappy, CompressionTypes.LZ4, CompressionTypes.ZSTD] as const) {
    if (isPluggedIn(CompressionCodecs[id])) continue
    // An async function: a package that is missing rejects, and is reported as the reason of a restart.
    const plugged = {
      decompress: async (bytes: Buffer) => codecOfId(id)?.decompress(bytes, decompressedBytesMax),
    }
    Object.assign(CompressionCodecs, { [id]: () => plugged })
  }
}

function isPluggedIn(codec: () => unknown): boolean {
  try {
    codec()
    return true
  } catch {
    return false // what kafkajs has there only throws
  }
}
