import {
  channels,
  envelopeHeaders,
  headerText,
  type Envelope,
  type HandlingMessage,
  type HandlingOutcome,
  type LaggingMessage,
  type MarksKeptMessage,
} from '@oncebox/core'
import type { PartitionLag } from './lag/partition-lag.js'
import type { ConsumerRecord } from './records/record.js'

/** What a consumer did since it was created. */
export interface ConsumerCounts {
  /** Events that took effect here. */
  readonly handled: number
  /** Deliveries of events whose effect was there already. */
  readonly duplicates: number
  /** Events of a type without a handler. */
  readonly skipped: number
  /** Failed attempts that are tried again. */
  readonly retries: number
  readonly deadLetters: number
  /** Events that were sent to a retry topic. */
  readonly forwarded: number
  /** Events that were parked here. */
  readonly parked: number
  /** Parked events that took effect here; not among `handled`. */
  readonly unparked: number
}

type EventFields = Pick<
  HandlingMessage,
  'consumer' | 'topic' | 'partition' | 'offset' | 'id' | 'type' | 'attempt'
>

type Named = Pick<Envelope, 'id' | 'type'>

/** What most listeners never ask for is made when somebody does: whoever traces listens to every attempt, also while nothing is traced. */
class Handling implements HandlingMessage {
  readonly consumer: string
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly id: string
  readonly type: string
  readonly attempt: number
  around: HandlingMessage['around'] = undefined
  readonly #record: ConsumerRecord

  constructor(consumer: string, group: string, record: ConsumerRecord, { id, type }: Named, attempt: number) {
    this.consumer = consumer
    this.group = group
    this.topic = record.topic
    this.partition = record.partition
    this.id = id
    this.type = type
    this.attempt = attempt
    this.#record = record
  }

  get offset(): string {
    return String(this.#record.offset)
  }

  get traceparent(): string | undefined {
    return headerText(this.#record.headers, envelopeHeaders.traceparent)
  }

  get tracestate(): string | undefined {
    return headerText(this.#record.headers, envelopeHeaders.tracestate)
  }
}

/** Counts what happened to events, and tells the diagnostics channels. Never sees payloads. */
export class Reporter {
  readonly #consumer: string
  readonly #group: string
  readonly #counts = {
    handled: 0,
    duplicates: 0,
    skipped: 0,
    retries: 0,
    deadLetters: 0,
    forwarded: 0,
    parked: 0,
    unparked: 0,
  }

  constructor(consumer: string, group: string) {
    this.#consumer = consumer
    this.#group = group
  }

  get counts(): ConsumerCounts {
    return { ...this.#counts }
  }

  /** Runs one attempt, inside whatever a listener puts around it: a span, for example. */
  handling<Outcome extends HandlingOutcome>(
    record: ConsumerRecord,
    envelope: Named,
    attempt: number,
    work: () => Promise<Outcome>,
  ): Promise<Outcome> {
    return channels.consumerHandling.hasSubscribers
      ? this.#handlingHeard(record, envelope, attempt, work)
      : work()
  }

  async #handlingHeard<Outcome extends HandlingOutcome>(
    record: ConsumerRecord,
    envelope: Named,
    attempt: number,
    work: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const message = new Handling(this.#consumer, this.#group, record, envelope, attempt)
    channels.consumerHandling.publish(message)
    if (message.around === undefined) return await work()
    // It resolves with what `work` does.
    return (await message.around(work)) as Outcome
  }

  handled(record: ConsumerRecord, envelope: Named, attempt: number): void {
    this.#counts.handled += 1
    if (channels.consumerHandled.hasSubscribers)
      channels.consumerHandled.publish({
        ...this.#fields(record, envelope, attempt),
        ageMs: Math.max(0, Date.now() - record.timestamp.getTime()),
      })
  }

  duplicate(record: ConsumerRecord, envelope: Named, attempt: number): void {
    this.#counts.duplicates += 1
    if (channels.consumerDuplicate.hasSubscribers)
      channels.consumerDuplicate.publish(this.#fields(record, envelope, attempt))
  }

  skipped(record: ConsumerRecord, envelope: Named): void {
    this.#counts.skipped += 1
    if (channels.consumerSkipped.hasSubscribers)
      channels.consumerSkipped.publish(this.#fields(record, envelope, 0))
  }

  retrying(record: ConsumerRecord, envelope: Named, attempt: number, error: unknown): void {
    this.#counts.retries += 1
    channels.consumerRetrying.publish({ ...this.#fields(record, envelope, attempt), error })
  }

  deadLettered(record: ConsumerRecord, envelope: Named, attempt: number, error: unknown): void {
    this.#counts.deadLetters += 1
    channels.consumerDeadLettered.publish({ ...this.#fields(record, envelope, attempt), error })
  }

  forwarded(record: ConsumerRecord, envelope: Named, attempt: number, error: unknown, to: string): void {
    this.#counts.forwarded += 1
    channels.consumerForwarded.publish({ ...this.#fields(record, envelope, attempt), error, to })
  }

  parked(record: ConsumerRecord, envelope: Named, attempt: number, error: unknown): void {
    this.#counts.parked += 1
    channels.consumerParked.publish({ ...this.#fields(record, envelope, attempt), error })
  }

  unparked(record: ConsumerRecord, envelope: Named, attempt: number): void {
    this.#counts.unparked += 1
    channels.consumerUnparked.publish({
      ...this.#fields(record, envelope, attempt),
      ageMs: Math.max(0, Date.now() - record.timestamp.getTime()),
    })
  }

  parking(depth: { readonly keys: number; readonly events: number; readonly isFull: boolean }): void {
    channels.consumerParking.publish({ consumer: this.#consumer, ...depth })
  }

  marksKept(message: Omit<MarksKeptMessage, 'consumer'>): void {
    channels.consumerMarksKept.publish({ consumer: this.#consumer, ...message })
  }

  assigned(partitions: readonly { readonly topic: string; readonly partition: number }[]): void {
    channels.consumerAssigned.publish({ consumer: this.#consumer, partitions })
  }

  lag(partitions: readonly PartitionLag[]): void {
    channels.consumerLag.publish({ consumer: this.#consumer, partitions })
  }

  lagging(message: Omit<LaggingMessage, 'consumer'>): void {
    channels.consumerLagging.publish({ consumer: this.#consumer, ...message })
  }

  repositioning(topic: string, partition: number, error: unknown): void {
    channels.consumerRepositioning.publish({ consumer: this.#consumer, topic, partition, error })
  }

  restarting(error: unknown): void {
    channels.consumerRestarting.publish({ consumer: this.#consumer, error })
  }

  failed(error: unknown): void {
    channels.consumerFailed.publish({ consumer: this.#consumer, error })
  }

  #fields({ topic, partition, offset }: ConsumerRecord, { id, type }: Named, attempt: number): EventFields {
    return { consumer: this.#consumer, topic, partition, offset: String(offset), id, type, attempt }
  }
}
