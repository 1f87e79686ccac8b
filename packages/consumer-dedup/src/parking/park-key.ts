import type { RetryOptions } from '../options.js'

export interface ParkKeyOptions {
  /** How long a key waits before its first event runs again: the first time, the second, and so on. Its last one repeats. */
  readonly delaysMs: readonly number[]
  /** Runs from the queue before the event becomes a dead letter. Default: as many as there are delays. */
  readonly attemptsMax?: number
  /** The part of a delay that is drawn by lot, so that keys that failed together do not return together. Default 0.2. */
  readonly jitter?: number
  /** Before an event is parked. Default: as without parking. */
  readonly inPlace?: RetryOptions
  /** Keys of which an event runs at the same time, in this process. Each uses a connection of the pool. Default 4. */
  readonly concurrency?: number
  /** Keys that may wait before partitions stop. Default 10,000. */
  readonly keysMax?: number
  /** Events that may wait before partitions stop. Default 100,000. */
  readonly eventsMax?: number
}

/** What {@link parkKey} makes. */
export interface ParkingRetry extends Omit<RetryOptions, 'parking'> {
  readonly parking: ParkKeyOptions
}

/**
 * An event that fails is parked, and events of its key queue behind it; other keys go on. The queue runs in order, after
 * each delay. In the modes `inbox` and `position`.
 *
 * @example
 * createConsumer({ mode: 'inbox', retry: parkKey({ delaysMs: [1_000, 10_000, 60_000] }), ... })
 */
export function parkKey(options: ParkKeyOptions): ParkingRetry {
  return { ...options.inPlace, parking: options }
}
