/**
 * How much zstd frames can decompress to, without decompressing them: the library for Node without zstd knows no bound.
 * @see https://www.rfc-editor.org/rfc/rfc8878#name-frame
 */
const frameMagic = 0xfd2fb528
const skippableMagic = 0x184d2a50
const descriptorAt = 4
const singleSegment = 0x20
const contentChecksum = 0x04
const contentSizeBytes = [0, 2, 4, 8] as const
const dictionaryIdBytes = [0, 1, 2, 4] as const
const blockType = { raw: 0, repeated: 1, compressed: 2 }
const blockBytesMax = 128 * 1024

/**
 * The most that `bytes` can decompress to: a compressed block counts as full, so it is at most one block too many for
 * whoever fills them, as everybody does.
 *
 * @throws RangeError when `bytes` are no frames, or not all of one
 */
export function zstdFrameBytes(bytes: Buffer): number {
  let sum = 0
  for (let at = 0; at < bytes.length;) {
    const magic = bytes.readUInt32LE(at)
    if (magic - (magic & 0x0f) === skippableMagic) {
      at += 8 + bytes.readUInt32LE(at + 4)
      continue
    }
    if (magic !== frameMagic) throw new RangeError(`not a zstd frame at offset ${at}`)
    const descriptor = bytes.readUInt8(at + descriptorAt)
    at += frameHeaderBytes(descriptor)
    for (let last = false; !last;) {
      const header = bytes.readUIntLE(at, 3)
      const type = (header >> 1) & 0x03
      const size = header >> 3
      last = (header & 0x01) !== 0
      sum += type === blockType.compressed ? blockBytesMax : size
      at += 3 + (type === blockType.repeated ? 1 : size)
    }
    if ((descriptor & contentChecksum) !== 0) at += 4
  }
  return sum
}

/** Magic, descriptor, then what the descriptor says is there. */
function frameHeaderBytes(descriptor: number): number {
  const single = (descriptor & singleSegment) !== 0
  const sizeFlag = descriptor >> 6
  const contentSize = sizeFlag === 0 && single ? 1 : (contentSizeBytes[sizeFlag] ?? 0)
  return 5 + (single ? 0 : 1) + (dictionaryIdBytes[descriptor & 0x03] ?? 0) + contentSize
}
