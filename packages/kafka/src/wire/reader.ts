/**
 * Reads an answer in a flexible protocol version (KIP-482). Reading past the end throws a RangeError; the connection
 * turns it into KAFKA_PROTOCOL.
 */
export class Reader {
  readonly #buffer: Buffer
  #offset: number

  constructor(buffer: Buffer, offset = 0) {
    this.#buffer = buffer
    this.#offset = offset
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset
  }

  int8(): number {
    return this.#buffer.readInt8(this.#advance(1))
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4))
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#advance(4))
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#advance(8))
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#buffer.readUInt8(this.#advance(1))
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a variable-length integer of more than 5 bytes')
  }

  /** The zigzag form of a 32-bit integer, as records use it. */
  varint(): number {
    const value = this.unsignedVarint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** The zigzag form of a 64-bit integer. */
  varlong(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#buffer.readUInt8(this.#advance(1))
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value % 2n === 0n ? value / 2n : -(value + 1n) / 2n
    }
    throw new RangeError('a variable-length integer of more than 10 bytes')
  }

  compactNullableString(): string | null {
    const length = this.unsignedVarint() - 1
    return length < 0 ? null : this.bytes(length).toString('utf8')
  }

  compactString(): string {
    return this.compactNullableString() ?? ''
  }

  /** Null and empty are the same to every caller here. */
  compactArray<Item>(read: (reader: this) => Item): Item[] {
    const length = this.unsignedVarint() - 1
    const items: Item[] = []
    for (let index = 0; index < length; index++) items.push(read(this))
    return items
  }

  /** Compact bytes as a view, not a copy; null is empty. */
  compactBytes(): Buffer {
    const length = this.unsignedVarint() - 1
    return this.bytes(Math.max(0, length))
  }

  /** The next `length` bytes as a view, not a copy. */
  bytes(length: number): Buffer {
    const start = this.#advance(length)
    return this.#buffer.subarray(start, start + length)
  }

  /** A topic id in its canonical text form. */
  uuid(): string {
    const hex = this.bytes(16).toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  /** A tag section; `known` sees each tag with a reader of its bytes. Unknown tags are allowed by KIP-482. */
  tags(known?: (tag: number, reader: Reader) => void): void {
    const count = this.unsignedVarint()
    for (let index = 0; index < count; index++) {
      const tag = this.unsignedVarint()
      const bytes = this.bytes(this.unsignedVarint())
      known?.(tag, new Reader(bytes))
    }
  }

  #advance(bytes: number): number {
    const at = this.#offset
    if (bytes < 0 || at + bytes > this.#buffer.length) {
      throw new RangeError(`${bytes} bytes at offset ${at} of an answer of ${this.#buffer.length}`)
    }
    this.#offset = at + bytes
    return at
  }
}
