/**
 * Settings that every consumer of the order flow shares.
 *
 * A consumer that is killed leaves a member behind in its group, and nobody else gets its partitions until Kafka gives
 * that member up: the session timeout is how long a kill hurts. Brokers accept 6 s or more unless told otherwise, which
 * the stack of the demo is.
 */
export const consumerSettings = {
  mode: 'inbox',
  concurrency: 8,
  sessionTimeoutMs: 4_000,
  heartbeatIntervalMs: 1_000,
  rebalanceTimeoutMs: 10_000,
} as const
