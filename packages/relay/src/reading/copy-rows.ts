import { OutboxError } from '@oncebox/core'

/**
 * The rows of one COPY … (FORMAT binary), walked in place: a row is a set of offsets into the bytes that PostgreSQL
 * sent, so key, headers and payload reach Kafka's record batch with one copy and no strings.
 * @see https://www.postgresql.org/docs/current/sql-copy.html (Binary Format)
 */
export class CopyRows {
  readonly #bytes: Buffer
  #firstAt: number
  #at: number
  /** Offsets of the fields of the row under the cursor; a start of -1 is SQL null. */
  readonly starts: Int32Array
  readonly ends: Int32Array

  constructor(bytes: Buffer, fields: number) {
    this.#bytes = bytes
    this.starts = new Int32Array(fields)
    this.ends = new Int32Array(fields)
    // Signature of 11 bytes, flags, length of the header extension.
    this.#firstAt = bytes.length === 0 ? 0 : 19 + bytes.readInt32BE(15)
    this.#at = this.#firstAt
  }

  /** The row under the cursor is not one of them: the first is the one behind it. */
  beginBehind(): void {
    this.#firstAt = this.#at
  }

  /** Whether there is none. */
  get isEmpty(): boolean {
    const at = this.#firstAt
    return at >= this.#bytes.length || this.#bytes.readInt16BE(at) === -1
  }

  /** Back to before the first row. */
  rewind(): void {
    this.#at = this.#firstAt
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  /** Moves to the next row; false at the end. */
  next(): boolean {
    const bytes = this.#bytes
    let at = this.#at
    if (at >= bytes.length) return false
    const fields = bytes.readInt16BE(at)
    at += 2
    if (fields === -1) {
      this.#at = bytes.length
      return false
    }
    if (fields !== this.starts.length)
      throw new OutboxError(
        'RELAY_ORDER_BROKEN',
        `a row of ${fields} fields where ${this.starts.length} were selected`,
      )
    for (let field = 0; field < fields; field++) {
      const length = bytes.readInt32BE(at)
      at += 4
      this.starts[field] = length < 0 ? -1 : at
      if (length > 0) at += length
      this.ends[field] = at
    }
    this.#at = at
    return true
  }
}
