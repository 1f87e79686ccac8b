/**
 * How Kafka frames snappy: as the Java library of xerial does. A header of 16 bytes, then blocks of raw snappy, each
 * behind its length. Streams may follow one another, header and all.
 * @see https://github.com/xerial/snappy-java SnappyOutputStream, SnappyInputStream
 */
const magic = Buffer.from('\x82SNAPPY\0', 'latin1')
const version = 1
const headerBytes = 16
const lengthBytes = 4
// A block whose length field reads as the magic's first four bytes begins another stream: as a length it would be negative.
const magicHead = magic.readInt32BE(0)

const streamHeader = Buffer.alloc(headerBytes)
magic.copy(streamHeader)
streamHeader.writeInt32BE(version, 8)
streamHeader.writeInt32BE(version, 12) // the oldest version that can read it

/** A stream of one block. */
export function toXerial(block: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(headerBytes + lengthBytes + block.length)
  streamHeader.copy(framed)
  framed.writeInt32BE(block.length, headerBytes)
  framed.set(block, headerBytes + lengthBytes)
  return framed
}

/**
 * The blocks of raw snappy in `bytes`, as views. Without the header, all of it is one block: some clients write that.
 *
 * @throws RangeError when a block is cut off or has no length
 */
export function fromXerial(bytes: Buffer): Buffer[] {
  if (!beginsStream(bytes, 0)) return [bytes]
  const blocks: Buffer[] = []
  for (let at = headerBytes; at < bytes.length;) {
    const length = bytes.readInt32BE(at)
    if (length === magicHead && beginsStream(bytes, at)) {
      at += headerBytes
      continue
    }
    const end = at + lengthBytes + length
    if (length < 0 || end > bytes.length)
      throw new RangeError(`a block of ${length} bytes at offset ${at} of ${bytes.length}`)
    blocks.push(bytes.subarray(at + lengthBytes, end))
    at = end
  }
  return blocks
}

const beginsStream = (bytes: Buffer, at: number): boolean =>
  at + headerBytes <= bytes.length && bytes.compare(magic, 0, magic.length, at, at + magic.length) === 0
