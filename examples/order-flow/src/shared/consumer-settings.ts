/**
 * Settings that every consumer of the order flow shares.
 *
 * A consumer that is killed leaves a member behind in its group, and nobody else gets its partitions until Kafka gives
 * that member up: the session timeout is how long a kill hurts. Kafka's own lower bound is 6 s.
 */
export const consumerSettings = {
  mode: 'inbox',
  concurrency: 8,
  sessionTimeoutMs: 6_000,
  heartbeatIntervalMs: 1_000,
  rebalanceTimeoutMs: 10_000,
} as const
