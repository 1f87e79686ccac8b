import { channel, type Channel } from 'node:diagnostics_channel'

/**
 * The one seam for metrics, tracing and tests: each thing that happened, published on a diagnostics channel named
 * `oncebox:<part>:<noun>`. Nobody listening costs one comparison.
 */
export const channels = {
  /** A relay owns its shard and knows its position: `{ relay, shard, epoch, incarnation, position }`. */
  relayOpened: channel('oncebox:relay:opened'),
  /** A batch is committed in Kafka: a {@link PublishedMessage}. */
  relayPublished: channel('oncebox:relay:published'),
  /** A poll found nothing to publish: `{ relay, shard }`. */
  relayIdle: channel('oncebox:relay:idle'),
  /** A doubt: the relay re-opens from Kafka: `{ relay, shard, error }`. */
  relayReopening: channel('oncebox:relay:reopening'),
  /**
   * The relay hears of commits by LISTEN from now on, or does not and polls: `{ relay, listening }`, and `error` when it
   * does not.
   */
  relayListening: channel('oncebox:relay:listening'),
  /** The shard of a process that gave no sign of life any more is published here now: `{ relay, shard, epoch }`. */
  relayTakeover: channel('oncebox:relay:takeover'),
  /** The relay became ready, or is not any more: `{ relay, ready, reasons }`. */
  relayReadiness: channel('oncebox:relay:readiness'),
  /** A shard waits for its topic, or for an event of its own, and tries again by itself: `{ relay, shard, error }`. */
  relayHalted: channel('oncebox:relay:halted'),
  /** What a shard waited for has passed: `{ relay, shard }`. */
  relayResumed: channel('oncebox:relay:resumed'),
  /** Events were set aside, in outbox.dead_letters: `{ relay, shard, letters: [{ id, seq, topic, key, code }] }`. */
  relayDeadLettered: channel('oncebox:relay:dead-lettered'),
  /** Dead letters were published again, discarded, or refused again: `{ relay, shard, outcome, letters: [number] }`. */
  relayDeadLettersSettled: channel('oncebox:relay:dead-letters-settled'),
  /** Rotation waits, since what a shard has published cannot be confirmed: `{ relay, shard, error }`. */
  relayUnconfirmed: channel('oncebox:relay:unconfirmed'),
  /** Writers moved on to a slot, or a slot was emptied: `{ relay, relation, advanced, emptied }`. */
  relayRotated: channel('oncebox:relay:rotated'),
  /** A slot should be emptied and cannot be: `{ relay, relation, due, heldBy, blockers, heldMs }`. */
  relayRotationHeld: channel('oncebox:relay:rotation-held'),
  /** Another process has the shard, and this one publishes it no more: `{ relay, shard, error }`. */
  relayLost: channel('oncebox:relay:lost'),
  /** The relay has stopped by itself: `{ relay, shard, error }`, without `shard` when it is not about one. */
  relayFailed: channel('oncebox:relay:failed'),
  /**
   * An event is emitted, inside its transaction: an {@link EmittingMessage}. A listener may add headers, at once; nobody knows
   * yet whether the transaction will commit.
   */
  outboxEmitting: channel('oncebox:outbox:emitting'),
  /** Events were committed by this process: wakes a relay in the same process. `{ source, events }`. */
  outboxCommitted: channel('oncebox:outbox:committed'),
  /** A consumer owns partitions and has positioned them: `{ consumer, partitions }`. */
  consumerAssigned: channel('oncebox:consumer:assigned'),
  /** An attempt on an event begins: a {@link HandlingMessage}. A listener may run the attempt itself. */
  consumerHandling: channel('oncebox:consumer:handling'),
  /** An event took effect: `{ consumer, topic, partition, offset, id, type, attempt, ageMs }`; its age since it was emitted. */
  consumerHandled: channel('oncebox:consumer:handled'),
  /** An event was a duplicate, its effect was already there: same fields, without `ageMs`. */
  consumerDuplicate: channel('oncebox:consumer:duplicate'),
  /** An attempt failed and is tried again: same fields and `error`. */
  consumerRetrying: channel('oncebox:consumer:retrying'),
  /** An event became a dead letter: same fields and `error`. */
  consumerDeadLettered: channel('oncebox:consumer:dead-lettered'),
  /** An event was sent to a retry topic, `to`, and runs from there: same fields as of retrying, and `to`. */
  consumerForwarded: channel('oncebox:consumer:forwarded'),
  /** An event waits for a later attempt, or behind an event of its key that does: same fields as of retrying. */
  consumerParked: channel('oncebox:consumer:parked'),
  /** A parked event took effect: the fields of handled. It is not told there. */
  consumerUnparked: channel('oncebox:consumer:unparked'),
  /** How much of a consumer waits: `{ consumer, keys, events, isFull }`; with `isFull`, what would be parked stops its partition. */
  consumerParking: channel('oncebox:consumer:parking'),
  /** An event of a type without a handler was passed over: same fields, attempt 0. */
  consumerSkipped: channel('oncebox:consumer:skipped'),
  /** How far the partitions of a consumer are behind, every few seconds: `{ consumer, partitions }`, of PartitionLag. */
  consumerLag: channel('oncebox:consumer:lag'),
  /** A partition crossed `lag.warnAt`, or is not behind any more, or is not this member's any more: a {@link LaggingMessage}. */
  consumerLagging: channel('oncebox:consumer:lagging'),
  /** The table of dedup marks was looked after, in the mode `inbox`: a {@link MarksKeptMessage}. */
  consumerMarksKept: channel('oncebox:consumer:marks-kept'),
  /** A position was given up and is read again: `{ consumer, topic, partition, error }`. */
  consumerRepositioning: channel('oncebox:consumer:repositioning'),
  /** Something of Kafka is away or was lost, and is tried again: a broker, the membership, a topic: `{ consumer, error }`. */
  consumerRestarting: channel('oncebox:consumer:restarting'),
  /**
   * Redis has lost its memory of done events, for the reason `loss`: `{ consumer, loss, renewed, incarnation }`. With
   * `renewed` it goes on, in a new incarnation.
   */
  consumerRedisAmnesia: channel('oncebox:consumer:redis-amnesia'),
  /** Redis did not answer a filter; it is left alone for a while, and the database decides: `{ consumer, error }`. */
  consumerFilterUnavailable: channel('oncebox:consumer:filter-unavailable'),
  /** The consumer has stopped by itself: `{ consumer, error }`. */
  consumerFailed: channel('oncebox:consumer:failed'),
} as const satisfies Record<string, Channel>

/** What is said on `oncebox:consumer:lagging`. */
export interface LaggingMessage {
  readonly consumer: string
  readonly topic: string
  readonly partition: number
  /** `moved`: another member has the partition, and tells of it when it is behind there. */
  readonly state: 'lagging' | 'caught-up' | 'moved'
  /** As last seen. */
  readonly lag: number
  readonly warnAt: number
}

/** What is said on `oncebox:consumer:marks-kept`. */
export interface MarksKeptMessage {
  readonly consumer: string
  /** Days of marks that were emptied. */
  readonly emptied: number
  /** Days that were made. */
  readonly made: number
  /** Age of the oldest day that has marks of every consumer; 0 while that is a day to come. */
  readonly oldestMs: number
  /** The consumer and the topic that are furthest behind; null before any has a position. */
  readonly heldBy: string | null
  readonly heldTopic: string | null
}

/** What is said on `oncebox:outbox:emitting`. */
export interface EmittingMessage {
  readonly source: string
  readonly topic: string
  readonly type: string
  readonly id: string
  /** Of the event; a header that the service has set is not taken from here. */
  readonly headers: Record<string, string>
}

/** What is said on `oncebox:relay:published`. */
export interface PublishedMessage {
  readonly relay: string
  readonly shard: number
  readonly epoch: number
  /** As the relay recorded it in Kafka. */
  readonly position: unknown
  readonly events: number
  readonly bytes: number
  /** When the oldest event of the batch was emitted, milliseconds since 1970. */
  readonly oldestMs: number
  readonly topics: readonly string[]
  /** How long it took to read the page, to turn it into record batches, and from there to the commit. */
  readonly readMs: number
  readonly encodeMs: number
  readonly durationMs: number
  /** Where the records are, the position's among them. */
  readonly receipt: unknown
  /** Header traceparent of the events that have one, 128 at most; none unless somebody listened when the batch was made. */
  readonly traceparents: readonly string[]
}

/** What is said on `oncebox:consumer:handling`. */
export interface HandlingMessage {
  readonly consumer: string
  readonly group: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly id: string
  readonly type: string
  readonly attempt: number
  readonly traceparent: string | undefined
  readonly tracestate: string | undefined
  /** Set by a listener: it calls `work`, and resolves with what that resolves with. */
  around: ((work: () => Promise<HandlingOutcome>) => Promise<HandlingOutcome>) | undefined
}

/** What became of an attempt. */
export type HandlingOutcome =
  | { readonly kind: 'handled' }
  | { readonly kind: 'duplicate' }
  /** An earlier event of its key waits: it waits behind it, and its handler did not run. */
  | { readonly kind: 'parked' }
  | { readonly kind: 'failed'; readonly error: unknown }
