import * as zlib from 'node:zlib'
import { promisify } from 'node:util'
import { DecompressedTooLarge, type Codec } from './codec.js'
import { optionalPackage } from './optional-package.js'
import { compressedChunk, decompressWithin } from './zlib-output.js'
import { zstdFrameBytes } from './zstd-frame.js'

/** What node:zlib has from Node 22.15 on, and @types/node for Node 20 does not know. */
interface ZlibWithZstd {
  zstdCompress(
    bytes: Buffer,
    options: CompressOptions,
    done: (error: Error | null, compressed: Buffer) => void,
  ): void
  zstdCompressSync(bytes: Buffer, options: CompressOptions): Buffer
  zstdDecompressSync(
    bytes: Buffer,
    options: { readonly chunkSize: number; readonly maxOutputLength: number },
  ): Buffer
  readonly constants: { readonly ZSTD_c_compressionLevel: number }
}

interface CompressOptions {
  readonly chunkSize: number
  readonly params: Readonly<Record<number, number>>
}

const hasZstd = (module: object): module is ZlibWithZstd => 'zstdCompress' in module

/** @param level 1 to 22; zstd's default is 3. */
export const zstd = (level = 3): Codec => ({
  type: 'zstd',
  id: 4,
  ...(hasZstd(zlib) ? ofNode(zlib, level) : ofPackage(level)),
})

type Implementation = Pick<Codec, 'compress' | 'compressSync' | 'decompress'>

function ofNode(node: ZlibWithZstd, level: number): Implementation {
  const compress = promisify(node.zstdCompress)
  const params = { [node.constants.ZSTD_c_compressionLevel]: level }
  return {
    compress: (bytes) => compress(bytes, { chunkSize: compressedChunk(bytes), params }),
    compressSync: (bytes) => node.zstdCompressSync(bytes, { chunkSize: compressedChunk(bytes), params }),
    decompress: (bytes, bytesMax) => decompressWithin(bytesMax, bytes, node.zstdDecompressSync),
  }
}

function ofPackage(level: number): Implementation {
  const name = '@toondepauw/node-zstd'
  // The package's own types say what it is.
  const { Encoder, Decoder } = optionalPackage(
    name,
    `zstd on Node ${process.versions.node} (from 22.15 on it is built in)`,
  ) as typeof import('@toondepauw/node-zstd')
  const encoder = new Encoder(level)
  const decoder = new Decoder()
  return {
    compress: (bytes) => encoder.encode(bytes),
    compressSync: (bytes) => encoder.encodeSync(bytes),
    decompress(bytes, bytesMax) {
      if (zstdFrameBytes(bytes) > bytesMax) throw new DecompressedTooLarge(bytesMax)
      return decoder.decodeSync(bytes)
    },
  }
}
