/**
 * How much an LZ4 frame decompresses to, without decompressing it: the library knows no bound of its own.
 * @see https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md
 */
const frameMagic = 0x184d2204
const flagsAt = 4
const descriptorBytes = 3 // flags, block size, header checksum
const flag = { blockChecksum: 0x10, contentSize: 0x08, contentChecksum: 0x04, dictionary: 0x01 }
const uncompressedBlock = 0x8000_0000

/**
 * The most that the frame at the start of `bytes` can decompress to; exact when `bytesMax` is at stake.
 *
 * @throws RangeError when `bytes` are no frame, or not all of one
 */
export function lz4FrameBytes(bytes: Buffer, bytesMax: number): number {
  // Whoever writes whole blocks, as everybody does, needs no more than the first count, which costs nothing.
  const roughly = sumOfBlocks(bytes, (_start, _end, blockBytesMax) => blockBytesMax)
  return roughly <= bytesMax ? roughly : sumOfBlocks(bytes, (start, end) => sumOfSequences(bytes, start, end))
}

function sumOfBlocks(
  bytes: Buffer,
  compressedBlock: (start: number, end: number, blockBytesMax: number) => number,
): number {
  if (bytes.readUInt32LE(0) !== frameMagic) throw new RangeError('not an LZ4 frame')
  const flags = bytes.readUInt8(flagsAt)
  const blockBytesMax = 1 << (8 + 2 * ((bytes.readUInt8(flagsAt + 1) >> 4) & 0x07))
  const checksumBytes = (flags & flag.blockChecksum) === 0 ? 0 : 4
  let at = flagsAt + descriptorBytes
  if ((flags & flag.contentSize) !== 0) at += 8
  if ((flags & flag.dictionary) !== 0) at += 4
  let sum = 0
  for (let size = bytes.readUInt32LE(at); size !== 0; size = bytes.readUInt32LE(at)) {
    const start = at + 4
    const compressed = size < uncompressedBlock
    const end = start + (compressed ? size : size - uncompressedBlock)
    sum += compressed ? compressedBlock(start, end, blockBytesMax) : end - start
    at = end + checksumBytes
  }
  return sum
}

/** Each sequence is a token, literals, and a match: only the lengths count here. */
function sumOfSequences(bytes: Buffer, start: number, end: number): number {
  let sum = 0
  let at = start
  const length = (nibble: number): number => {
    let value = nibble
    if (nibble < 15) return value
    for (let byte = 255; byte === 255; value += byte) byte = bytes.readUInt8(at++)
    return value
  }
  while (at < end) {
    const token = bytes.readUInt8(at++)
    const literals = length(token >> 4)
    sum += literals
    at += literals
    if (at >= end) break // the last sequence has no match
    at += 2
    sum += 4 + length(token & 0x0f)
  }
  return sum
}
