import { OutboxError } from '@oncebox/core'

/** For how long after its first delivery an event can be delivered again. */
export interface RedeliveryHorizon {
  /** retention.ms of the topic; -1 and Infinity: for ever. */
  readonly topicRetentionMs: number
  /** segment.ms of the topic: a record lives until its whole segment is too old. Default Kafka's, 7 days. */
  readonly segmentMs?: number
  /** How long retries, parking and dead letters may hold an event after it has left the topic. Default 0. */
  readonly retryMs?: number
}

export interface DedupWindow extends RedeliveryHorizon {
  /** How long a done event is remembered. */
  readonly retentionMs: number
}

const weekMs = 604_800_000

/** What a retention must be at least, in milliseconds; Infinity for a topic that keeps everything. */
export function dedupWindowNeededMs({
  topicRetentionMs,
  segmentMs = weekMs,
  retryMs = 0,
}: RedeliveryHorizon): number {
  return topicRetentionMs < 0 ? Infinity : topicRetentionMs + segmentMs + retryMs
}

/**
 * Refuses a dedup window that is shorter than the time in which an event can come again: it would take effect twice.
 * @throws OutboxError CONSUMER_DEDUP_WINDOW_TOO_SHORT
 */
export function assertDedupWindow({ retentionMs, ...horizon }: DedupWindow): void {
  const neededMs = dedupWindowNeededMs(horizon)
  if (retentionMs >= neededMs) return
  throw new OutboxError(
    'CONSUMER_DEDUP_WINDOW_TOO_SHORT',
    `done events are remembered for ${retentionMs} ms, but can be delivered again for ${
      neededMs === Infinity ? 'ever: the topic has no retention' : `${neededMs} ms`
    }`,
    { details: { retentionMs, neededMs, ...horizon } },
  )
}
