import { unsignedVarintSize, writeUnsignedVarint } from './varint.js'

const initialBytes = 512

/**
 * Writes a request body in a flexible protocol version (KIP-482): compact strings and arrays, tag sections. Large
 * pieces (record batches) are kept by reference, never copied: `chunks()` hands the socket a list.
 */
export class Writer {
  #buffer = Buffer.allocUnsafe(initialBytes)
  #start = 0
  #end = 0
  readonly #chunks: Uint8Array[] = []

  int8(value: number): this {
    const at = this.#reserve(1)
    this.#buffer.writeInt8(value, at)
    return this
  }

  int16(value: number): this {
    const at = this.#reserve(2)
    this.#buffer.writeInt16BE(value, at)
    return this
  }

  int32(value: number): this {
    const at = this.#reserve(4)
    this.#buffer.writeInt32BE(value, at)
    return this
  }

  int64(value: bigint): this {
    const at = this.#reserve(8)
    this.#buffer.writeBigInt64BE(value, at)
    return this
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0)
  }

  /** The classic nullable string of request headers: a 16-bit length, then UTF-8. */
  string(value: string): this {
    const bytes = Buffer.byteLength(value)
    this.int16(bytes)
    const at = this.#reserve(bytes)
    this.#buffer.write(value, at, 'utf8')
    return this
  }

  /** A compact string: length + 1, then UTF-8; null is 0. */
  compactString(value: string | null): this {
    if (value === null) return this.unsignedVarint(0)
    const bytes = Buffer.byteLength(value)
    this.unsignedVarint(bytes + 1)
    const at = this.#reserve(bytes)
    this.#buffer.write(value, at, 'utf8')
    return this
  }

  /** A topic id, from its canonical text. */
  uuid(value: string): this {
    const at = this.#reserve(16)
    this.#buffer.write(value.replaceAll('-', ''), at, 'hex')
    return this
  }

  /** A compact array: length + 1, then the items; null is 0. */
  compactArray<Item>(items: readonly Item[] | null, write: (item: Item, writer: this) => void): this {
    if (items === null) return this.unsignedVarint(0)
    this.unsignedVarint(items.length + 1)
    for (const item of items) write(item, this)
    return this
  }

  /** Compact bytes, copied: length + 1, then the bytes. */
  compactBytes(bytes: Uint8Array): this {
    this.unsignedVarint(bytes.length + 1)
    const at = this.#reserve(bytes.length)
    this.#buffer.set(bytes, at)
    return this
  }

  /** The bytes of a record batch with their compact length, by reference: they must not change until the answer is here. */
  compactRecords(bytes: Uint8Array): this {
    this.unsignedVarint(bytes.length + 1)
    this.#flush()
    this.#chunks.push(bytes)
    return this
  }

  /** A tag section without tags. */
  noTags(): this {
    return this.unsignedVarint(0)
  }

  unsignedVarint(value: number): this {
    const at = this.#reserve(unsignedVarintSize(value))
    writeUnsignedVarint(this.#buffer, at, value)
    return this
  }

  /** What was written, in order. */
  chunks(): readonly Uint8Array[] {
    this.#flush()
    return this.#chunks
  }

  #flush(): void {
    if (this.#end > this.#start) this.#chunks.push(this.#buffer.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  #reserve(bytes: number): number {
    if (this.#end + bytes > this.#buffer.length) {
      const unflushed = this.#end - this.#start
      const larger = Buffer.allocUnsafe(Math.max(initialBytes, 2 * (unflushed + bytes)))
      this.#buffer.copy(larger, 0, this.#start, this.#end)
      this.#buffer = larger
      this.#start = 0
      this.#end = unflushed
    }
    const at = this.#end
    this.#end += bytes
    return at
  }
}
