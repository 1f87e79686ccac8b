import { channel, type Channel } from 'node:diagnostics_channel'

/**
 * The one seam for metrics, tracing and tests: each thing that happened, published on a diagnostics channel named
 * `oncebox:<part>:<noun>`. Nobody listening costs one comparison.
 */
export const channels = {
  /** A relay owns its shard and knows its position: `{ relay, shard, epoch, incarnation, position }`. */
  relayOpened: channel('oncebox:relay:opened'),
  /**
   * A batch is committed in Kafka: `{ relay, shard, epoch, position, events, bytes, oldestMs, readMs, encodeMs, durationMs,
   * receipt, traceparents }`.
   */
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
  /** Another process has the shard, and this one publishes it no more: `{ relay, shard, error }`. */
  relayLost: channel('oncebox:relay:lost'),
  /** The relay has stopped by itself: `{ relay, shard, error }`, without `shard` when it is not about one. */
  relayFailed: channel('oncebox:relay:failed'),
  /** Events were committed by this process: wakes a relay in the same process. `{ source, events }`. */
  outboxCommitted: channel('oncebox:outbox:committed'),
  /** A consumer owns partitions and has positioned them: `{ consumer, partitions }`. */
  consumerAssigned: channel('oncebox:consumer:assigned'),
  /** An event took effect: `{ consumer, topic, partition, offset, id, type, attempt }`. */
  consumerHandled: channel('oncebox:consumer:handled'),
  /** An event was a duplicate, its effect was already there: same fields. */
  consumerDuplicate: channel('oncebox:consumer:duplicate'),
  /** An attempt failed and is tried again: same fields and `error`. */
  consumerRetrying: channel('oncebox:consumer:retrying'),
  /** An event became a dead letter: same fields and `error`. */
  consumerDeadLettered: channel('oncebox:consumer:dead-lettered'),
  /** An event of a type without a handler was passed over: same fields, attempt 0. */
  consumerSkipped: channel('oncebox:consumer:skipped'),
  /** A position was given up and is read again: `{ consumer, topic, partition, error }`. */
  consumerRepositioning: channel('oncebox:consumer:repositioning'),
  /** Something of Kafka is away or was lost, and is tried again: a broker, the membership, a topic: `{ consumer, error }`. */
  consumerRestarting: channel('oncebox:consumer:restarting'),
  /** The consumer has stopped by itself: `{ consumer, error }`. */
  consumerFailed: channel('oncebox:consumer:failed'),
} as const satisfies Record<string, Channel>
