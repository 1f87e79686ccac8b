/** Kafka's names for the formats a record batch can be compressed in. */
export type CompressionType = 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** How record batches are compressed: by name, or with a level where the format has levels. */
export type Compression =
  'none' | CompressionType | { readonly type: 'gzip' | 'zstd'; readonly level: number }

/** One format. What it yields is what Apache's Java client reads, and it reads whatever that client writes. */
export interface Codec {
  readonly type: CompressionType
  /** In the lowest three bits of a batch's attributes. */
  readonly id: number
  /** On Node's thread pool. `bytes` must not change before the promise settles. */
  compress(bytes: Buffer): Promise<Uint8Array>
  /** On the main thread. */
  compressSync(bytes: Buffer): Uint8Array
  /**
   * @throws DecompressedTooLarge when more than `bytesMax` would come out, before that much memory is taken; the
   *   library's own error when `bytes` are not of this format
   */
  decompress(bytes: Buffer, bytesMax: number): Buffer
}

/** A few bytes can stand for gigabytes: zstd, for one, writes 128 KiB of a single repeated byte in four. */
export class DecompressedTooLarge extends Error {
  override readonly name = 'DecompressedTooLarge'

  constructor(readonly bytesMax: number) {
    super(`it decompresses to more than ${bytesMax} bytes`)
  }
}
