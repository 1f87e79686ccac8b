import type { ServiceState } from '@oncebox/core'
import type { ShardStep } from '../running/shard-activity.js'
import type { ShardStatus, ShardTrouble } from '../running/shard-status.js'

/** A relay as readiness judges it. Times are of `performance.now()`. */
export interface RelayView {
  readonly state: ServiceState
  /** When the database last took a heartbeat of this process; undefined before the first. */
  readonly heartbeatMs: number | undefined
  readonly shards: readonly ShardView[]
}

export interface ShardView {
  readonly status: ShardStatus
  readonly step: ShardStep
  /** Of the batch that is on its way. */
  readonly topics: readonly string[]
  /** When it last published or saw that there is nothing to publish; before the first time, when it was taken. */
  readonly progressMs: number
}

/** Why a relay is not ready. */
export interface UnreadyReason {
  /**
   * `not-running`: it starts, stops or has failed. `no-heartbeat`: the database does not answer, and others will take its
   * shards. `halted`: a shard waits for a topic or an event. `stalled`: a shard has had work, or could not look for any, for
   * longer than it may.
   */
  readonly code: 'not-running' | 'no-heartbeat' | 'halted' | 'stalled'
  readonly message: string
  readonly shard?: number
  readonly step?: ShardStep
  readonly topics?: readonly string[]
  /** The error behind it, by code, with the topic, key or event that it is about. */
  readonly why?: ShardTrouble
}

export interface ReadinessLimits {
  readonly nowMs: number
  /** How long a shard may go without progress. */
  readonly readyWithinMs: number
  /** How long the database may go without a heartbeat. */
  readonly leaseMs: number
}

/**
 * Empty when the relay is ready: it runs, is alive in the database, and each of its shards has published, or has seen that
 * there is nothing to publish, lately. An idle relay over a broker that is down is ready, as nothing waits for it; a batch
 * that does not get through makes it unready.
 */
export function unreadyReasons(view: RelayView, limits: ReadinessLimits): readonly UnreadyReason[] {
  if (view.state !== 'running') return [{ code: 'not-running', message: `the relay is ${view.state}` }]
  return [
    ...heartbeatReasons(view.heartbeatMs, limits),
    ...view.shards.flatMap((shard) => shardReasons(shard, limits)),
  ]
}

function heartbeatReasons(
  heartbeatMs: number | undefined,
  { nowMs, leaseMs }: ReadinessLimits,
): readonly UnreadyReason[] {
  const sinceMs = nowMs - (heartbeatMs ?? Number.NEGATIVE_INFINITY)
  if (sinceMs <= leaseMs) return []
  const message = Number.isFinite(sinceMs)
    ? `the database has taken no heartbeat for ${seconds(sinceMs)}`
    : 'the database has taken no heartbeat yet'
  return [{ code: 'no-heartbeat', message }]
}

function shardReasons(
  { status, step, topics, progressMs }: ShardView,
  { nowMs, readyWithinMs }: ReadinessLimits,
): readonly UnreadyReason[] {
  const { shard, why } = status
  const about = { shard, step, ...(step === 'publishing' && { topics }), ...(why !== undefined && { why }) }
  if (status.state === 'halted' || why?.code === 'RELAY_TOPIC_UNAVAILABLE')
    return [{ code: 'halted', message: `shard ${shard} waits: ${why?.message ?? 'it is halted'}`, ...about }]
  const sinceMs = nowMs - progressMs
  if (sinceMs <= readyWithinMs) return []
  const because = why === undefined ? '' : `: ${why.message}`
  return [
    {
      code: 'stalled',
      message: `shard ${shard} has made no progress for ${seconds(sinceMs)}, it is ${step}${because}`,
      ...about,
    },
  ]
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`
