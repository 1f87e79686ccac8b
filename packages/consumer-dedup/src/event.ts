import type { AnyTopic, EventSchemas, PayloadOf } from '@oncebox/core'

/** The event types of the subscribed topics. */
export type EventTypeOf<Topics extends readonly AnyTopic[]> = Topics[number] extends infer Subscribed
  ? Subscribed extends { readonly events: infer Events }
    ? keyof Events & string
    : never
  : never

/** The payload of an event type, after validation by the schema of its topic. */
export type ConsumedPayload<
  Topics extends readonly AnyTopic[],
  Type extends string,
> = Topics[number] extends infer Subscribed
  ? Subscribed extends { readonly events: infer Events extends EventSchemas }
    ? Type extends keyof Events
      ? PayloadOf<Events, Type>
      : never
    : never
  : never

/** Where an event stood in Kafka, and how often it was tried. */
export interface EventMetadata {
  readonly topic: string
  readonly partition: number
  /** Decimal: Kafka's offsets are 64 bits wide. */
  readonly offset: string
  /** The timestamp of the Kafka record. */
  readonly timestamp: Date
  readonly key: string | null
  /** Headers as text, the envelope's too; of a repeated header the last. */
  readonly headers: Readonly<Record<string, string>>
  /** 1 at first. Survives restarts. */
  readonly attempt: number
}

/** What a handler receives. */
export interface ConsumedEvent<Type extends string = string, Payload = unknown> {
  /** Unique within `source`: the id by which duplicates are recognised. */
  readonly id: string
  readonly type: Type
  /** The service that emitted it. */
  readonly source: string
  /** When it was emitted, ISO 8601; empty when the producer did not say. */
  readonly time: string
  readonly payload: Payload
  readonly metadata: EventMetadata
}

/** What a handler may use in `inbox` mode. */
export interface InboxContext<Tx> {
  /** The transaction of the dedup mark. What is written through it happens once; what is not, may happen again. */
  readonly tx: Tx
  /** Aborted when the partition is revoked or stop() runs out of time: give up, the event is delivered again. */
  readonly signal: AbortSignal
}

/** Returns when its statements were awaited. Throw to roll back and try again; throw PermanentError to give up at once. */
export type InboxHandler<Tx, Event> = (event: Event, context: InboxContext<Tx>) => PromiseLike<unknown>

/** A handler as the runtime keeps it; `on` of the consumer is what checks types. */
export type AnyHandler<Tx> = InboxHandler<Tx, ConsumedEvent<never, never>>
