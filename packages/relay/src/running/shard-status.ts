import { OutboxError } from '@oncebox/core'

/**
 * What a shard of this process does. `halted`: it waits for a topic, or for an event of its own, and tries again by
 * itself; other shards go on. `reopening`: a doubt, after which it reads its position back from Kafka.
 */
export type ShardState = 'opening' | 'publishing' | 'halted' | 'reopening'

/** What readiness, metrics and people are told of a shard. */
export interface ShardStatus {
  readonly shard: number
  readonly state: ShardState
  /** When it came to be in this state, for this reason. */
  readonly since: Date
  /** Why it is halted or opened again; undefined while all is well. */
  readonly why?: ShardTrouble
}

/** Why a shard does not publish. Ids only, never a payload. */
export interface ShardTrouble {
  /** Of an OutboxError, or of the driver or the system; `UNKNOWN` for anything else. */
  readonly code: string
  readonly message: string
  /** What to do about it. */
  readonly remedy?: string
  readonly topic?: string
  readonly key?: string
  readonly eventId?: string
}

export function troubleOf(error: unknown): ShardTrouble {
  const message = error instanceof Error ? error.message : String(error)
  if (!OutboxError.is(error)) return { code: codeOf(error), message }
  const { topic, key, id } = error.details
  return {
    code: error.code,
    message,
    remedy: error.remedy,
    ...(typeof topic === 'string' && { topic }),
    ...(typeof key === 'string' && { key }),
    ...(typeof id === 'string' && { eventId: id }),
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN'

/** Keeps the status of one shard: `since` moves when the state or its reason does, not with each attempt. */
export class StatusBoard {
  #status: ShardStatus

  constructor(shard: number) {
    this.#status = { shard, state: 'opening', since: new Date() }
  }

  get status(): ShardStatus {
    return this.#status
  }

  /** @returns Whether this is news: another state, or another reason. */
  enter(state: ShardState, error?: unknown): boolean {
    const before = this.#status
    const why = error === undefined ? undefined : troubleOf(error)
    const isNews = before.state !== state || !isSame(before.why, why)
    const since = isNews ? new Date() : before.since
    this.#status = Object.freeze({ shard: before.shard, state, since, ...(why !== undefined && { why }) })
    return isNews
  }
}

const isSame = (one: ShardTrouble | undefined, other: ShardTrouble | undefined): boolean =>
  one?.code === other?.code && one?.topic === other?.topic && one?.eventId === other?.eventId
