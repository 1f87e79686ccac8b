import { channels } from '@oncebox/core'
import type { ConsumerRecord } from './record.js'

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
}

interface Subject {
  readonly id: string
  readonly type: string
  readonly attempt: number
}

/** Counts what happened to events, and tells the diagnostics channels. Never sees payloads. */
export class Reporter {
  readonly #consumer: string
  readonly #counts = { handled: 0, duplicates: 0, skipped: 0, retries: 0, deadLetters: 0 }

  constructor(consumer: string) {
    this.#consumer = consumer
  }

  get counts(): ConsumerCounts {
    return { ...this.#counts }
  }

  handled(record: ConsumerRecord, subject: Subject): void {
    this.#counts.handled += 1
    if (channels.consumerHandled.hasSubscribers)
      channels.consumerHandled.publish(this.#fields(record, subject))
  }

  duplicate(record: ConsumerRecord, subject: Subject): void {
    this.#counts.duplicates += 1
    if (channels.consumerDuplicate.hasSubscribers)
      channels.consumerDuplicate.publish(this.#fields(record, subject))
  }

  skipped(record: ConsumerRecord, subject: Subject): void {
    this.#counts.skipped += 1
    if (channels.consumerSkipped.hasSubscribers)
      channels.consumerSkipped.publish(this.#fields(record, subject))
  }

  retrying(record: ConsumerRecord, subject: Subject, error: unknown): void {
    this.#counts.retries += 1
    channels.consumerRetrying.publish({ ...this.#fields(record, subject), error })
  }

  deadLettered(record: ConsumerRecord, subject: Subject, error: unknown): void {
    this.#counts.deadLetters += 1
    channels.consumerDeadLettered.publish({ ...this.#fields(record, subject), error })
  }

  assigned(partitions: readonly { readonly topic: string; readonly partition: number }[]): void {
    channels.consumerAssigned.publish({ consumer: this.#consumer, partitions })
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

  #fields({ topic, partition, offset }: ConsumerRecord, { id, type, attempt }: Subject): object {
    return { consumer: this.#consumer, topic, partition, offset: String(offset), id, type, attempt }
  }
}
