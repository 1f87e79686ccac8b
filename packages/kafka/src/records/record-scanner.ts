export type RecordHeaders = readonly (readonly [name: string, value: Buffer])[]

const nothing = Buffer.alloc(0)

/**
 * Steps over the records of a batch without making objects of them: the hottest loop of a reader. What is asked for is a
 * view of the body.
 */
export class RecordScanner {
  readonly #body: Buffer
  #at: number
  offsetDelta = 0
  timestampDelta = 0
  headersAt = 0
  keyAt = 0
  /** -1: null. */
  #keyBytes = -1
  #valueAt = 0
  #valueBytes = -1

  constructor(body: Buffer, at = 0) {
    this.#body = body
    this.#at = at
  }

  /** Steps onto the next record; the caller knows how many there are. @throws RangeError when the body ends too early */
  next(): void {
    const bytes = this.#varint()
    const end = this.#at + bytes
    if (bytes < 0 || end > this.#body.length) overrun()
    this.#at += 1 // attributes: none are defined
    this.timestampDelta = this.#varlong()
    this.offsetDelta = this.#varint()
    this.#keyBytes = this.#varint()
    this.keyAt = this.#at
    this.#at += Math.max(0, this.#keyBytes)
    this.#valueBytes = this.#varint()
    this.#valueAt = this.#at
    this.headersAt = this.#at + Math.max(0, this.#valueBytes)
    if (this.headersAt > end) overrun()
    this.#at = end
  }

  get key(): Buffer | null {
    return this.#keyBytes < 0 ? null : this.#body.subarray(this.keyAt, this.keyEnd)
  }

  get value(): Buffer | null {
    return this.#valueBytes < 0 ? null : this.#body.subarray(this.#valueAt, this.#valueAt + this.#valueBytes)
  }

  /** Behind the key; before {@link keyAt} when there is none. */
  get keyEnd(): number {
    return this.keyAt + this.#keyBytes
  }

  keyEquals(key: Uint8Array): boolean {
    if (this.#keyBytes !== key.length) return false
    return this.#body.compare(key, 0, key.length, this.keyAt, this.keyEnd) === 0
  }

  /** The headers that stand here, for a scanner that begins at `headersAt` of a record. */
  headers(): RecordHeaders {
    const headers: [string, Buffer][] = []
    for (let left = this.#varint(); left > 0; left--) {
      const nameAt = this.#skip()
      const name = headerName(this.#body, nameAt, this.#at)
      const valueAt = this.#skip()
      headers.push([name, valueAt < 0 ? nothing : this.#body.subarray(valueAt, this.#at)])
    }
    return headers
  }

  /** As {@link headers}: of each of the names the last value as text, undefined where there is none. Makes no other objects. */
  headerTexts(names: readonly string[]): (string | undefined)[] {
    const texts = names.map((): string | undefined => undefined)
    for (let left = this.#varint(); left > 0; left--) {
      const nameAt = this.#skip()
      const index = names.indexOf(headerName(this.#body, nameAt, this.#at))
      const valueAt = this.#skip()
      if (index >= 0) texts[index] = valueAt < 0 ? '' : headerText(index, this.#body, valueAt, this.#at)
    }
    return texts
  }

  /** Steps over bytes behind their length; where they begin, or -1 for null. */
  #skip(): number {
    const bytes = this.#varint()
    if (bytes < 0) return -1
    const start = this.#at
    this.#at += bytes
    if (this.#at > this.#body.length) overrun()
    return start
  }

  /** The zigzag form of a 32-bit integer. */
  #varint(): number {
    let byte = this.#body[this.#at++] ?? overrun()
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      byte = this.#body[this.#at++] ?? overrun()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw new RangeError('a variable-length integer of more than 5 bytes')
  }

  /** The zigzag form of a 64-bit integer, exact up to 2^53: milliseconds of any date. */
  #varlong(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#body[this.#at++] ?? overrun()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw new RangeError('a variable-length integer of more than 10 bytes')
  }
}

function overrun(): never {
  throw new RangeError('a record runs past the end of its batch')
}

const knownNames = new Map<number, { readonly bytes: Buffer; readonly name: string }>()
const knownNamesMax = 256
const knownNameBytesMax = 64

/** Records of a topic have the same few names: a comparison costs less than a string. By length and two of the bytes. */
function headerName(body: Buffer, start: number, end: number): string {
  const length = end - start
  if (length === 0 || length > knownNameBytesMax) return body.toString('utf8', start, end)
  const place = length | ((body[end - 1] ?? 0) << 8) | ((body[start] ?? 0) << 16)
  const known = knownNames.get(place)
  if (known !== undefined && isAt(body, start, known.bytes)) return known.name
  const bytes = Buffer.from(body.subarray(start, end))
  const name = bytes.toString()
  if (knownNames.size < knownNamesMax || known !== undefined) knownNames.set(place, { bytes, name })
  return name
}

const seenTexts: { bytes: Buffer; text: string; misses: number }[] = []
const missesMax = 4

/** Most events of a topic have the same source and type, and no two the same id: a text that comes again is not made again. */
function headerText(index: number, body: Buffer, start: number, end: number): string {
  const seen = seenTexts[index]
  if (seen?.bytes.length === end - start && isAt(body, start, seen.bytes)) {
    seen.misses = 0
    return seen.text
  }
  const text = body.toString('utf8', start, end)
  const misses = (seen?.misses ?? 0) + 1
  if (seen !== undefined && misses > missesMax) return text
  if (end - start <= knownNameBytesMax)
    seenTexts[index] = { bytes: Buffer.from(body.subarray(start, end)), text, misses }
  return text
}

function isAt(body: Buffer, start: number, bytes: Buffer): boolean {
  for (let index = 0; index < bytes.length; index++) if (body[start + index] !== bytes[index]) return false
  return true
}
