import type { EventKey, FilteredContext, FilteredEffect, OnceOptions } from '@oncebox/consumer-dedup/redis'
import { OutboxError } from '@oncebox/core'
import { DelayedError, type Job, type Processor } from 'bullmq'
import { eventOfJob } from './job-id.js'

/** What is needed of a dedup store: createRedisDedup() makes one. */
export interface JobDedup {
  once(event: EventKey, effect: FilteredEffect, options?: OnceOptions): Promise<'handled' | 'duplicate'>
}

export interface JobContext extends FilteredContext {
  /** The event that the job was made of. Its id is the key by which another service can recognise the effect. */
  readonly event: EventKey
}

export interface OnceProcessorOptions {
  /** How long a job waits when the store cannot decide: Redis is away, or has lost its memory. Default 5,000. */
  readonly retryMs?: number
}

// The store cannot say whether the effect is done. Not the job's fault: it costs no attempt.
const undecided = [
  'CONSUMER_REDIS_AMNESIA',
  'CONSUMER_REDIS_EVICTS',
  'CONSUMER_REDIS_UNAVAILABLE',
  'CONSUMER_REDIS_UNSUPPORTED',
] as const

/**
 * A processor for BullMQ's Worker, whose jobs come from handOver(): one that runs again, because its worker died or stalled,
 * runs the effect only if it is not done. A job whose event is held by another worker is delayed until that claim is
 * over, which costs it no attempt.
 *
 * @example
 * new Worker('mails', onceProcessor(dedup, (job, { event, signal }) => send(job.data, event.id, signal)), { connection, maxStalledCount: 10 })
 */
export function onceProcessor<Data, Result>(
  dedup: JobDedup,
  process: (job: Job<Data, Result | undefined>, context: JobContext) => Promise<Result>,
  { retryMs = 5_000 }: OnceProcessorOptions = {},
): Processor<Data, Result | undefined> {
  return async (job, token, signal) => {
    const event = eventOfJob(job)
    let result: Result | undefined
    const effect = async (context: FilteredContext): Promise<void> => {
      result = await process(job, { ...context, event })
    }
    try {
      await dedup.once(event, effect, signal === undefined ? {} : { signal })
      return result
    } catch (error) {
      const waitMs = waitOf(error, retryMs)
      if (waitMs === undefined || token === undefined) throw error
      await job.moveToDelayed(Date.now() + waitMs, token)
      throw new DelayedError()
    }
  }
}

/** Undefined for what counts as an attempt of the job. */
function waitOf(error: unknown, retryMs: number): number | undefined {
  if (OutboxError.is(error, 'CONSUMER_CLAIM_HELD')) return Number(error.details['remainingMs'])
  return undecided.some((code) => OutboxError.is(error, code)) ? retryMs : undefined
}
