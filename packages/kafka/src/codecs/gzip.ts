import { gunzipSync, gzip as gzipWithCallback, gzipSync } from 'node:zlib'
import { promisify } from 'node:util'
import type { Codec } from './codec.js'
import { compressedChunk, decompressWithin } from './zlib-output.js'

const compress = promisify(gzipWithCallback)

/** @param level 1 to 9; zlib's default is 6. */
export const gzip = (level = 6): Codec => ({
  type: 'gzip',
  id: 1,
  compress: (bytes) => compress(bytes, { level, chunkSize: compressedChunk(bytes) }),
  compressSync: (bytes) => gzipSync(bytes, { level, chunkSize: compressedChunk(bytes) }),
  decompress: (bytes, bytesMax) => decompressWithin(bytesMax, bytes, gunzipSync),
})
