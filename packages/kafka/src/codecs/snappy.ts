import { Reader } from '../wire/reader.js'
import { DecompressedTooLarge, type Codec } from './codec.js'
import { optionalPackage } from './optional-package.js'
import { fromXerial, toXerial } from './xerial.js'

/** One block for the whole batch, where Java's writer makes blocks of 32 KiB: Java's reader takes any size. */
export function snappy(): Codec {
  // The package's own types say what it is.
  const { compress, compressSync, uncompressSync } = optionalPackage(
    'snappy',
    'snappy',
  ) as typeof import('snappy')
  return {
    type: 'snappy',
    id: 2,
    compress: async (bytes) => toXerial(await compress(bytes)),
    compressSync: (bytes) => toXerial(compressSync(bytes)),
    decompress(bytes, bytesMax) {
      const blocks = fromXerial(bytes)
      if (blocks.reduce((sum, block) => sum + announcedBytes(block), 0) > bytesMax)
        throw new DecompressedTooLarge(bytesMax)
      const pieces = blocks.map((block) => Buffer.from(uncompressSync(block)))
      return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces)
    },
  }
}

/** Raw snappy begins with the number of bytes that it stands for, and a decoder accepts no other number. */
const announcedBytes = (block: Buffer): number => new Reader(block).unsignedVarint()
