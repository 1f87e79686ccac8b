import { envelopeHeaders, isReservedHeader, OutboxError, type AnyTopic } from '@oncebox/core'
import { encodeEvent, type EncodedEvent } from '@oncebox/outbox'
import type { Output } from './output.js'

/** What a handler in `kafka` mode sends, until its transaction is made. */
export class SentEvents {
  readonly #source: string
  readonly #topics: ReadonlyMap<string, AnyTopic>
  readonly #pending: (EncodedEvent | Promise<EncodedEvent>)[] = []
  #isOpen = true

  /** @param topics By event type. */
  constructor(source: string, topics: ReadonlyMap<string, AnyTopic>) {
    this.#source = source
    this.#topics = topics
  }

  /** @throws OutboxError OUTBOX_EVENT_UNKNOWN, OUTBOX_PAYLOAD_INVALID, OUTBOX_PAYLOAD_TOO_LARGE, OUTBOX_OPTIONS_INVALID */
  add(type: string, payload: unknown, options: object = {}): void {
    if (!this.#isOpen)
      throw new OutboxError('CONSUMER_OPTIONS_INVALID', 'send() was called when its handler had returned')
    const topic = this.#topics.get(type)
    if (topic === undefined)
      throw new OutboxError(
        'OUTBOX_EVENT_UNKNOWN',
        `no topic of outputs has events of type ${JSON.stringify(type)}`,
      )
    const event = encodeEvent(topic, type, payload, options)
    if (event instanceof Promise) event.catch(() => undefined) // end() tells
    this.#pending.push(event)
  }

  /** The records, in the order of the calls. Nothing can be sent any more. */
  async end(): Promise<Output[]> {
    this.#isOpen = false
    const outputs: Output[] = []
    for (const event of this.#pending) outputs.push(outputOf(this.#source, await event))
    return outputs
  }
}

function outputOf(source: string, event: EncodedEvent): Output {
  const time = event.occurredAt === null ? new Date() : new Date(event.occurredAt)
  const own = event.headers === null ? {} : (JSON.parse(event.headers) as Record<string, string>) // as it was encoded
  return {
    topic: event.topic,
    partition: event.partition ?? undefined,
    key: event.key === null ? null : Buffer.from(event.key),
    value: event.payload,
    timestamp: time,
    headers: {
      [envelopeHeaders.specVersion]: '1.0',
      [envelopeHeaders.type]: event.type,
      [envelopeHeaders.source]: source,
      [envelopeHeaders.id]: event.id,
      [envelopeHeaders.time]: time.toISOString(),
      [envelopeHeaders.contentType]: own[envelopeHeaders.contentType] ?? 'application/json',
      ...Object.fromEntries(Object.entries(own).filter(([name]) => !isReservedHeader(name))),
    },
  }
}
