/** How a payload becomes the bytes of a Kafka record's value, and back. */
export interface PayloadCodec {
  /** Sent as the `content-type` header. */
  readonly contentType: string
  encode(payload: unknown): Uint8Array
  decode(bytes: Uint8Array): unknown
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** The default: JSON in UTF-8. What JSON cannot carry (undefined, bigint, functions) is refused. */
export const json: PayloadCodec = {
  contentType: 'application/json',
  encode(payload) {
    const text = JSON.stringify(payload)
    if (text === undefined) throw new TypeError('JSON has no form for this payload')
    return encoder.encode(text)
  },
  decode: (bytes) => JSON.parse(decoder.decode(bytes)) as unknown,
}

/** Plain text in UTF-8. */
export const text: PayloadCodec = {
  contentType: 'text/plain; charset=utf-8',
  encode(payload) {
    if (typeof payload !== 'string') throw new TypeError('a text payload must be a string')
    return encoder.encode(payload)
  },
  decode: (bytes) => decoder.decode(bytes),
}

/** Bytes, as they are. */
export const bytes: PayloadCodec = {
  contentType: 'application/octet-stream',
  encode(payload) {
    if (!(payload instanceof Uint8Array)) throw new TypeError('a bytes payload must be a Uint8Array')
    return payload
  },
  decode: (value) => value,
}
