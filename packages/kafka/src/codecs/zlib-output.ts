/** How node:zlib is told where its output goes and when to stop. */
import { DecompressedTooLarge } from './codec.js'

const chunkBytesMin = 16 * 1024
const chunkBytesMax = 1024 * 1024
const usualRatio = 4

/** Room for all that a compression yields: by default zlib comes back to the main thread for every 16 KiB. */
export const compressedChunk = (bytes: Uint8Array): number => Math.max(chunkBytesMin, bytes.length)

/**
 * Runs a decompression that node:zlib breaks off at the bound. With chunks of the size that will be needed it takes a
 * quarter less time than with its own of 16 KiB.
 */
export function decompressWithin(
  bytesMax: number,
  bytes: Buffer,
  decompress: (
    bytes: Buffer,
    options: { readonly chunkSize: number; readonly maxOutputLength: number },
  ) => Buffer,
): Buffer {
  if (bytesMax < 1) throw new DecompressedTooLarge(bytesMax) // node:zlib takes no smaller bound
  const chunkSize = Math.min(chunkBytesMax, Math.max(chunkBytesMin, usualRatio * bytes.length))
  try {
    return decompress(bytes, { chunkSize, maxOutputLength: bytesMax })
  } catch (error) {
    if (error instanceof RangeError && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')
      throw new DecompressedTooLarge(bytesMax)
    throw error
  }
}
