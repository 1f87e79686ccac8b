import { RecordScanner, type RecordHeaders } from './record-scanner.js'

/** A record as it was read. Key, value and headers are views of the answer. */
export interface ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: RecordHeaders
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

/** Headers are read when somebody asks: most of a record's cost would be theirs. */
class BatchRecord implements ConsumedRecord {
  readonly offset: bigint
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly #body: Buffer
  readonly #headersAt: number
  #headers: RecordHeaders | undefined

  constructor(
    body: Buffer,
    scanner: RecordScanner,
    { baseOffset, baseTimestampMs, appendTimestampMs }: BatchTerms,
  ) {
    this.offset = baseOffset + BigInt(scanner.offsetDelta)
    this.timestampMs = appendTimestampMs ?? baseTimestampMs + scanner.timestampDelta
    this.key = scanner.key
    this.value = scanner.value
    this.#body = body
    this.#headersAt = scanner.headersAt
  }

  get headers(): RecordHeaders {
    return (this.#headers ??= new RecordScanner(this.#body, this.#headersAt).headers())
  }
}
