import { envelopeHeaders, headerText, readEnvelope, type Envelope, type HeaderBag } from '@oncebox/core'
import type { ConsumedRecord } from '@oncebox/kafka'
import { storable } from './text.js'

/** One Kafka record in hand, with the id of the topic it came from. */
export interface ConsumerRecord {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly offset: bigint
  readonly timestamp: Date
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: HeaderBag
  /** Undefined when the record carries none. */
  readonly envelope: Envelope | undefined
}

type Place = Pick<ConsumerRecord, 'topic' | 'topicId' | 'partition'>

export const recordOf = (place: Place, consumed: ConsumedRecord): ConsumerRecord =>
  new FetchedRecord(place, consumed)

/** A record that was kept with its headers. */
export const keptRecord = (kept: Omit<ConsumerRecord, 'envelope'>): ConsumerRecord => ({
  ...kept,
  envelope: readEnvelope(kept.headers),
})

/** Headers as text; of a repeated header the last value. */
export function headersAsText(headers: HeaderBag): Record<string, string> {
  return Object.fromEntries(
    Object.keys(headers).flatMap((name) => {
      const value = headerText(headers, name)
      return value === undefined ? [] : [[storable(name), storable(value)]]
    }),
  )
}

/** What most events never need is made when somebody asks. */
class FetchedRecord implements ConsumerRecord {
  readonly #place: Place
  readonly #consumed: ConsumedRecord
  #headers: HeaderBag | undefined
  /** Null until it was looked for. */
  #envelope: Envelope | undefined | null = null

  constructor(place: Place, consumed: ConsumedRecord) {
    this.#place = place
    this.#consumed = consumed
  }

  get topic(): string {
    return this.#place.topic
  }

  get topicId(): string {
    return this.#place.topicId
  }

  get partition(): number {
    return this.#place.partition
  }

  get offset(): bigint {
    return this.#consumed.offset
  }

  get key(): Buffer | null {
    return this.#consumed.key
  }

  get value(): Buffer | null {
    return this.#consumed.value
  }

  get timestamp(): Date {
    return timestampOf(this.#consumed.timestampMs)
  }

  get headers(): HeaderBag {
    return (this.#headers ??= bagOf(this.#consumed.headers))
  }

  get envelope(): Envelope | undefined {
    if (this.#envelope === null) this.#envelope = envelopeIn(this.#consumed)
    return this.#envelope
  }
}

const envelopeNames = [envelopeHeaders.id, envelopeHeaders.type, envelopeHeaders.source, envelopeHeaders.time]

function envelopeIn(consumed: ConsumedRecord): Envelope | undefined {
  const [id, type, source, time = ''] = consumed.headerTexts(envelopeNames)
  if (id === undefined || type === undefined || source === undefined) return undefined
  return { id, type, source, time }
}

/** All values of each name. A header may have any name, `__proto__` too, which only fromEntries makes a key. */
function bagOf(headers: ConsumedRecord['headers']): HeaderBag {
  const bag = new Map<string, Buffer | Buffer[]>()
  for (const [name, value] of headers) {
    const before = bag.get(name)
    bag.set(name, before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value])
  }
  return Object.fromEntries(bag)
}

// Producers may send what no date can hold; a record is not refused for it.
function timestampOf(milliseconds: number): Date {
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) || date.getTime() < 0 || date.getUTCFullYear() > 9999
    ? new Date(0)
    : date
}
