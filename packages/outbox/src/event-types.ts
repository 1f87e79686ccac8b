/** What the topics of an outbox allow to be emitted, as types: the compiler refuses everything else. */
import type { AnyTopic, EventSchemas, StandardSchemaV1 } from '@oncebox/core'

type EventsOf<T> = T extends { readonly events: infer Events extends EventSchemas } ? Events : never
type TypesIn<T> = T extends AnyTopic ? keyof EventsOf<T> & string : never
type InputIn<T, Type> = T extends AnyTopic
  ? Type extends keyof EventsOf<T>
    ? StandardSchemaV1.InferInput<EventsOf<T>[Type]>
    : never
  : never

/** The event types of these topics. */
export type EventType<Topics extends readonly AnyTopic[]> = TypesIn<Topics[number]>

/** What `emit` takes for an event type: the payload before validation. It travels as it is given. */
export type EventInput<Topics extends readonly AnyTopic[], Type> = InputIn<Topics[number], Type>

export interface EmitOptions {
  /** The ordering key in place of the one that the topic computes. At most 32,767 bytes of UTF-8. `null`: no key. */
  readonly key?: string | null
  /** The partition to publish to, from 0, in place of the one that the key selects. */
  readonly partition?: number
  /** At most 64, together at most 65,536 bytes. Names of the envelope (`ce_*`, `oncebox_*`, `content-type`) are refused. */
  readonly headers?: Readonly<Record<string, string>>
  /** When it happened, where that differs from when it is emitted. Years 1 to 9999. Default: the database's clock. */
  readonly occurredAt?: Date
}

/** A tombstone has no payload to compute a key from, so it is given. */
export interface TombstoneOptions extends EmitOptions {
  readonly key: string
}

/** One event for `emitMany`. */
export type EventToEmit<Topics extends readonly AnyTopic[]> = {
  [Type in EventType<Topics>]:
    | ({ readonly type: Type; readonly payload: EventInput<Topics, Type> } & EmitOptions)
    | ({ readonly type: Type; readonly payload: null } & TombstoneOptions)
}[EventType<Topics>]

/**
 * Emits one event when the surrounding `outbox.transaction` commits, and returns its id (UUID v7) at once.
 * `null` as payload is a tombstone.
 */
export interface Emit<Topics extends readonly AnyTopic[]> {
  (type: EventType<Topics>, payload: null, options: TombstoneOptions): string
  <Type extends EventType<Topics>>(
    type: Type,
    payload: EventInput<Topics, Type>,
    options?: EmitOptions,
  ): string
}
