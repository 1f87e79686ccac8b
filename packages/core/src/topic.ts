import type { StandardSchemaV1 } from '@standard-schema/spec'
import { OutboxError } from './errors.js'
import { json, type PayloadCodec } from './payload-codec.js'

/** The events of a topic: event type to schema. Any Standard Schema: zod, valibot, arktype. */
export type EventSchemas = Readonly<Record<string, StandardSchemaV1>>

/** What the consumer's handler receives, and the topic's `key` function: the payload after validation. */
export type PayloadOf<Events extends EventSchemas, Type extends keyof Events> = StandardSchemaV1.InferOutput<
  Events[Type]
>

/** What `emit` takes: the payload before validation. It is what travels on the wire. */
export type PayloadInputOf<
  Events extends EventSchemas,
  Type extends keyof Events,
> = StandardSchemaV1.InferInput<Events[Type]>

/** Payload of any event of a topic, after validation. */
export type AnyPayloadOf<Events extends EventSchemas> = PayloadOf<Events, keyof Events>

/** A Kafka topic and the events on it: the one definition that producers and consumers share. */
export interface Topic<Name extends string = string, Events extends EventSchemas = EventSchemas> {
  readonly name: Name
  readonly events: Events
  readonly codec: PayloadCodec
  /** Bytes of the encoded payload, at most. */
  readonly payloadBytesMax: number
  /** The ordering key: same key, same partition, same order. `null` spreads the event over partitions and promises no order. */
  key(payload: AnyPayloadOf<Events>): string | null
}

export interface TopicOptions<Events extends EventSchemas> {
  /** Event type to schema. Types are unique across the topics of an outbox. */
  readonly events: Events
  /** Takes the validated payload. Absent: no key. */
  readonly key?: (payload: AnyPayloadOf<Events>) => string | null
  /** Default: JSON. */
  readonly codec?: PayloadCodec
  /** Default 900,000: below the 1,048,588 bytes that a Kafka topic accepts unless configured otherwise. At most 64 MiB. */
  readonly payloadBytesMax?: number
}

/** Any topic, whatever its events. `any`-free by way of a key function that accepts nothing in particular. */
export type AnyTopic = Omit<Topic, 'key'> & { key(payload: never): string | null }

// What the broker accepts: org.apache.kafka.common.internals.Topic, 249 characters of these.
const topicName = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/
const payloadBytesCeiling = 64 * 1024 * 1024

/**
 * Defines a topic and its events.
 *
 * @example
 * export const orders = defineTopic('orders', {
 *   key: (order) => order.orderId,
 *   events: { 'order.placed': z.object({ orderId: z.uuid(), totalCents: z.int() }) },
 * })
 * @throws OutboxError OUTBOX_OPTIONS_INVALID
 */
export function defineTopic<const Name extends string, const Events extends EventSchemas>(
  name: Name,
  options: TopicOptions<Events>,
): Topic<Name, Events> {
  const payloadBytesMax = options.payloadBytesMax ?? 900_000
  if (!topicName.test(name))
    throw invalid(`topic name ${JSON.stringify(name)}: 1 to 249 characters of a-z A-Z 0-9 . _ -`)
  if (!Number.isInteger(payloadBytesMax) || payloadBytesMax < 1 || payloadBytesMax > payloadBytesCeiling) {
    throw invalid(
      `payloadBytesMax of ${name} is ${payloadBytesMax}: a whole number from 1 to ${payloadBytesCeiling}`,
    )
  }
  if (Object.keys(options.events).length === 0) throw invalid(`topic ${name} has no events`)
  for (const type of Object.keys(options.events)) {
    if (type.length === 0 || type.length > 255)
      throw invalid(`event type ${JSON.stringify(type)} of ${name}: 1 to 255 characters`)
  }
  const key = options.key ?? (() => null)
  return Object.freeze({
    name,
    events: options.events,
    codec: options.codec ?? json,
    payloadBytesMax,
    key: (payload: AnyPayloadOf<Events>) => key(payload),
  })
}

const invalid = (message: string): OutboxError => new OutboxError('OUTBOX_OPTIONS_INVALID', message)
