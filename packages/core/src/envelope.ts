/**
 * The envelope: CloudEvents 1.0 in Kafka's binary mode. Attributes are record headers, the payload is the record's
 * value as it is, so a consumer that knows nothing of oncebox can read it.
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
 */
export const envelopeHeaders = {
  specVersion: 'ce_specversion',
  id: 'ce_id',
  type: 'ce_type',
  source: 'ce_source',
  time: 'ce_time',
  contentType: 'content-type',
  /** W3C Trace Context, as CloudEvents' extension for distributed tracing names it. */
  traceparent: 'traceparent',
  tracestate: 'tracestate',
} as const

/**
 * Beside the envelope, on a record that was published out of its turn, by `oncebox adopt`: the generation of the shard map that
 * it made.
 */
export const adoptedHeader = 'oncebox_adopted'

/** Beside the envelope, on a record that was published again, by `oncebox replay`: the number of the request. */
export const replayedHeader = 'oncebox_replayed'

/** The attributes of one event. */
export interface Envelope {
  /** UUID v7. Unique within `source`; consumers dedup by (source, id). */
  readonly id: string
  readonly type: string
  /** The service that emitted it: `source` of createOutbox. */
  readonly source: string
  /** When it was emitted, ISO 8601 with milliseconds. */
  readonly time: string
}

/** Kafka record headers as clients hand them out. */
export type HeaderBag = Readonly<
  Record<string, Uint8Array | string | readonly (Uint8Array | string)[] | undefined>
>

const decoder = new TextDecoder()

/** Header names that belong to the envelope: users cannot set them. */
export function isReservedHeader(name: string): boolean {
  return name.startsWith('ce_') || name === envelopeHeaders.contentType || name.startsWith('oncebox_')
}

/** The last value of a header as text; undefined when absent. */
export function headerText(headers: HeaderBag, name: string): string | undefined {
  const value = headers[name]
  const last: unknown = Array.isArray(value) ? value.at(-1) : value
  if (last instanceof Uint8Array) return decoder.decode(last)
  return typeof last === 'string' ? last : undefined
}

/** The envelope of a record, or undefined when it carries none (not one of ours, or not a CloudEvent). */
export function readEnvelope(headers: HeaderBag): Envelope | undefined {
  const id = headerText(headers, envelopeHeaders.id)
  const type = headerText(headers, envelopeHeaders.type)
  const source = headerText(headers, envelopeHeaders.source)
  if (id === undefined || type === undefined || source === undefined) return undefined
  return { id, type, source, time: headerText(headers, envelopeHeaders.time) ?? '' }
}
