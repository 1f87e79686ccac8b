import type { AnyTopic, EventSchemas, PayloadOf } from '@oncebox/core'
import type { RedisEffect } from './redis/commands.js'
import type { EmitOptions, EventInput, EventType, TombstoneOptions } from '@oncebox/outbox'

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

/** Any event of the subscribed topics: `type` tells them apart. */
export type AnyEventOf<Topics extends readonly AnyTopic[]> = {
  [Type in EventTypeOf<Topics>]: ConsumedEvent<Type, ConsumedPayload<Topics, Type>>
}[EventTypeOf<Topics>]

/** Where an event stood in Kafka, and how often it was tried. */
export interface EventMetadata {
  readonly topic: string
  readonly partition: number
  /** Decimal: Kafka's offsets are 64 bits wide. */
  readonly offset: string
  /** The timestamp of the Kafka record; of an event in a retry topic, of the record that it came in. */
  readonly timestamp: Date
  readonly key: string | null
  /** Headers as text, the envelope's too; of a repeated header the last. */
  readonly headers: Readonly<Record<string, string>>
  /** 1 at first; in a retry topic it is counted on. Survives restarts in the modes that have a database, and in retry topics. */
  readonly attempt: number
  /** Of an event in a retry topic: where it came in. Undefined otherwise. */
  readonly origin: EventOrigin | undefined
}

/** Where an event stood before it was sent on. */
export interface EventOrigin {
  readonly topic: string
  readonly partition: number
  readonly offset: string
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

/** What every handler may use. */
export interface HandlerContext {
  /** Aborted when the partition is revoked or stop() runs out of time: give up, the event is delivered again. */
  readonly signal: AbortSignal
}

/** What a handler may use in the mode `at-least-once` with `ack: 'manual'`. */
export interface AckContext extends HandlerContext {
  /**
   * The event, or the batch, is done: the offset may pass it when all before it are done, too. Any time, also after the handler
   * has returned; does nothing when the handler has thrown, or the partition was taken away: the event is delivered again.
   */
  readonly ack: () => void
}

/** What a handler may use in the modes `inbox` and `position`. */
export interface DatabaseContext<Tx> extends HandlerContext {
  /**
   * The transaction of the dedup mark, or of the position. What is written through it happens once; what is not, may
   * happen again.
   */
  readonly tx: Tx
}

/** What a handler may use in the mode `redis`. */
export interface RedisContext extends HandlerContext {
  /**
   * Adds to the effect of the event: commands that take effect together, with its mark, when the handler has returned. Once,
   * or never when it throws.
   */
  readonly write: (effect: RedisEffect) => void
}

/** Returns when its work was awaited. Throw to try again; throw PermanentError to give up at once. */
export type Handler<Context, Event> = (event: Event, context: Context) => PromiseLike<unknown>

/** Handles several events at once. When it throws, they are handled one by one: the batch counts as no attempt. */
export type BatchHandler<Context, Event> = (
  events: readonly Event[],
  context: Context,
) => PromiseLike<unknown>

/** A handler as the runtime keeps it; `on` of the consumer is what checks types. */
export type AnyHandler<Context> = Handler<Context, ConsumedEvent<never, never>>
export type AnyBatchHandler<Context> = BatchHandler<Context, ConsumedEvent<never, never>>

/** Sends an event in the Kafka transaction that also commits the offset of what is handled. */
export interface Send<Topics extends readonly AnyTopic[]> {
  (type: EventType<Topics>, payload: null, options: TombstoneOptions): void
  <Type extends EventType<Topics>>(type: Type, payload: EventInput<Topics, Type>, options?: EmitOptions): void
}

/** What a handler may use in the mode `kafka`. */
export interface KafkaContext<Topics extends readonly AnyTopic[]> extends HandlerContext {
  /** What is sent through it is visible to read_committed readers once, or never. Of the topics in `outputs`. */
  readonly send: Send<Topics>
}
