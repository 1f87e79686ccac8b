import type { ConsumedEvent, EventMetadata, EventOrigin } from '../event.js'
import type { Origin } from '../retrying/retry-copy.js'
import type { DecodedSubject } from './decoded-subject.js'
import { headersAsText, type ConsumerRecord } from './record.js'
import { text } from './text.js'

/** An event as handlers see it. */
export function consumedEvent(
  { record, envelope, payload, retried }: DecodedSubject,
  attempt: number,
): ConsumedEvent {
  const { id, type, source, time } = envelope
  return { id, type, source, time, payload, metadata: new RecordMetadata(record, attempt, retried?.origin) }
}

/** Read when somebody asks: most handlers never do. */
class RecordMetadata implements EventMetadata {
  readonly topic: string
  readonly partition: number
  readonly attempt: number
  readonly origin: EventOrigin | undefined
  readonly #record: ConsumerRecord

  constructor(record: ConsumerRecord, attempt: number, origin: Origin | undefined) {
    this.topic = record.topic
    this.partition = record.partition
    this.attempt = attempt
    this.origin = origin && {
      topic: origin.topic,
      partition: origin.partition,
      offset: String(origin.offset),
    }
    this.#record = record
  }

  get offset(): string {
    return String(this.#record.offset)
  }

  get timestamp(): Date {
    return this.#record.timestamp
  }

  get key(): string | null {
    const { key } = this.#record
    return key === null ? null : text(key)
  }

  get headers(): Readonly<Record<string, string>> {
    return headersAsText(this.#record.headers)
  }
}
