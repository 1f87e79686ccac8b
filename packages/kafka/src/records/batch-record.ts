import { RecordScanner, type RecordHeaders } from './record-scanner.js'

/** A record as it was read. Key, value and headers are views of the answer. */
export interface ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
  /**
   * Of each header the last value as text, in the order of the names; undefined where there is none. Costs less than `headers`, of which
   * it makes nothing else.
   */
  headerTexts(names: readonly string[]): readonly (string | undefined)[]
}

/** What a batch says about all of its records. */
export interface BatchTerms {
  readonly baseOffset: bigint
  readonly baseTimestampMs: number
  /** Set when the broker stamps records as it appends them: then it is the timestamp of each. */
  readonly appendTimestampMs: number | undefined
}

/** The records of a batch, from its uncompressed body. @throws RangeError when the body ends too early */
export function readRecords(body: Buffer, count: number, terms: BatchTerms): ConsumedRecord[] {
  const scanner = new RecordScanner(body)
  const records: ConsumedRecord[] = []
  for (let index = 0; index < count; index++) {
    scanner.next()
    records.push(new BatchRecord(body, scanner, terms))
  }
  return records
}

/** Key and headers are read when somebody asks: most of a record's cost would be theirs. */
class BatchRecord implements ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly value: Buffer | null
  readonly #body: Buffer
  readonly #keyAt: number
  readonly #keyEnd: number
  readonly #headersAt: number
  #headers: RecordHeaders | undefined

  constructor(
    body: Buffer,
    scanner: RecordScanner,
    { baseOffset, baseTimestampMs, appendTimestampMs }: BatchTerms,
  ) {
    this.offset = baseOffset + BigInt(scanner.offsetDelta)
    this.timestampMs = appendTimestampMs ?? baseTimestampMs + scanner.timestampDelta
    this.value = scanner.value
    this.#body = body
    this.#keyAt = scanner.keyAt
    this.#keyEnd = scanner.keyEnd
    this.#headersAt = scanner.headersAt
  }

  get key(): Buffer | null {
    return this.#keyEnd < this.#keyAt ? null : this.#body.subarray(this.#keyAt, this.#keyEnd)
  }

  get headers(): RecordHeaders {
    return (this.#headers ??= new RecordScanner(this.#body, this.#headersAt).headers())
  }

  headerTexts(names: readonly string[]): readonly (string | undefined)[] {
    return new RecordScanner(this.#body, this.#headersAt).headerTexts(names)
  }
}
