import { DecompressedTooLarge, type Codec } from './codec.js'
import { lz4FrameBytes } from './lz4-frame.js'
import { optionalPackage } from './optional-package.js'

/** The frame format with independent blocks: Java's reader refuses linked ones. */
export function lz4(): Codec {
  // The package's own types say what it is.
  const { compressFrame, compressFrameSync, decompressFrameSync } = optionalPackage(
    'lz4-napi',
    'lz4',
  ) as typeof import('lz4-napi')
  return {
    type: 'lz4',
    id: 3,
    compress: (bytes) => compressFrame(bytes),
    compressSync: (bytes) => compressFrameSync(bytes),
    decompress(bytes, bytesMax) {
      if (lz4FrameBytes(bytes, bytesMax) > bytesMax) throw new DecompressedTooLarge(bytesMax)
      return decompressFrameSync(bytes)
    },
  }
}
