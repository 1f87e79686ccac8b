/** A record as it was read. Key, value and headers are views of the answer. */
export interface ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [name: string, value: Buffer])[]
}

/** What a batch says about all of its records. */
export interface BatchTerms {
  readonly baseOffset: bigint
  readonly baseTimestampMs: number
  /** Set when the broker stamps records as it appends them: then it is the timestamp of each. */
  readonly appendTimestampMs: number | undefined
}

const nothing = Buffer.alloc(0)

/** The records of a batch, from its uncompressed body. @throws RangeError when the body ends too early */
export function readRecords(body: Buffer, count: number, terms: BatchTerms): ConsumedRecord[] {
  const cursor = new Cursor(body)
  const records: ConsumedRecord[] = []
  for (let index = 0; index < count; index++) records.push(readRecord(cursor, terms))
  return records
}

function readRecord(cursor: Cursor, { baseOffset, baseTimestampMs, appendTimestampMs }: BatchTerms): Record {
  const bytes = cursor.varint()
  const end = cursor.at + bytes
  cursor.at += 1 // attributes: none are defined
  const timestampMs = appendTimestampMs ?? baseTimestampMs
  const timestampDelta = cursor.varlong()
  const offset = baseOffset + BigInt(cursor.varint())
  const key = cursor.bytes()
  const value = cursor.bytes()
  const headersAt = cursor.at
  cursor.at = end
  if (end > cursor.source.length) overrun()
  return new Record(
    offset,
    appendTimestampMs === undefined ? timestampMs + timestampDelta : timestampMs,
    key,
    value,
    cursor.source,
    headersAt,
  )
}

/** Headers are read when somebody asks: most of a record's cost would be theirs. */
class Record implements ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly #source: Buffer
  readonly #headersAt: number
  #headers: ConsumedRecord['headers'] | undefined

  constructor(
    offset: bigint,
    timestampMs: number,
    key: Buffer | null,
    value: Buffer | null,
    source: Buffer,
    headersAt: number,
  ) {
    this.offset = offset
    this.timestampMs = timestampMs
    this.key = key
    this.value = value
    this.#source = source
    this.#headersAt = headersAt
  }

  get headers(): ConsumedRecord['headers'] {
    return (this.#headers ??= readHeaders(new Cursor(this.#source, this.#headersAt)))
  }
}

function readHeaders(cursor: Cursor): ConsumedRecord['headers'] {
  return Array.from({ length: cursor.varint() }, (): [string, Buffer] => {
    const name = (cursor.bytes() ?? nothing).toString('utf8')
    return [name, cursor.bytes() ?? nothing]
  })
}

/** Reads Kafka's variable-length integers; the loop over records is the hottest of a consumer. */
class Cursor {
  readonly source: Buffer
  at: number

  constructor(source: Buffer, at = 0) {
    this.source = source
    this.at = at
  }

  /** The zigzag form of a 32-bit integer. */
  varint(): number {
    let byte = this.source[this.at++] ?? overrun()
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      byte = this.source[this.at++] ?? overrun()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw new RangeError('a variable-length integer of more than 5 bytes')
  }

  /** The zigzag form of a 64-bit integer, exact up to 2^53: milliseconds of any date. */
  varlong(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.source[this.at++] ?? overrun()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw new RangeError('a variable-length integer of more than 10 bytes')
  }

  /** Bytes behind their length, as a view; a length of -1 is null. */
  bytes(): Buffer | null {
    const length = this.varint()
    if (length < 0) return null
    const start = this.at
    this.at += length
    if (this.at > this.source.length) overrun()
    return this.source.subarray(start, this.at)
  }
}

function overrun(): never {
  throw new RangeError('a record runs past the end of its batch')
}
