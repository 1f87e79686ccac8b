import { dedupWindowNeededMs, type EventKey, type RedeliveryHorizon } from '@oncebox/consumer-dedup/redis'
import { delay, faultPoint, LinkedSignal, OutboxError } from '@oncebox/core'
import type { JobsOptions } from 'bullmq'
import { jobIdOf } from './job-id.js'

/** What is needed of a BullMQ queue. */
export interface JobQueue<Data> {
  readonly name: string
  add(name: string, data: Data, options: JobsOptions): Promise<unknown>
}

export interface HandOverJob<Data> {
  readonly name: string
  readonly data: Data
  /** How long the event can be delivered again: for so long its job is kept at least. */
  readonly redelivery: RedeliveryHorizon
  /** How long a finished job is kept. Default: as long as `redelivery` needs, for ever when that is for ever. */
  readonly keepMs?: number
  readonly options?: Pick<
    JobsOptions,
    'attempts' | 'backoff' | 'delay' | 'priority' | 'lifo' | 'sizeLimit' | 'stackTraceLimit' | 'keepLogs'
  >
}

export interface HandOverOptions {
  readonly signal?: AbortSignal
  /** How long Redis is waited for. Default 5,000. */
  readonly timeoutMs?: number
}

/**
 * Adds the job of an event, inside the event's handler and before its COMMIT. An event that is delivered again, because its
 * process died between the two, finds its job and adds none. Resolves with the job's id.
 *
 * Call it last: a transaction that is rolled back afterwards does not take the job back.
 *
 * @example
 * consumer.on('order.confirmed', async (event, { tx, signal }) => {
 *   await tx.query('insert into ...')
 *   await handOver(mails, event, { name: 'confirmation', data: { orderId }, redelivery: { topicRetentionMs } }, { signal })
 * })
 * @throws OutboxError CONSUMER_DEDUP_WINDOW_TOO_SHORT: the job would be forgotten while its event can still come again;
 *   CONSUMER_REDIS_UNAVAILABLE: nobody knows whether the job was added; CONSUMER_OPTIONS_INVALID
 */
export async function handOver<Data>(
  queue: JobQueue<Data>,
  event: EventKey,
  job: HandOverJob<Data>,
  { signal, timeoutMs = 5_000 }: HandOverOptions = {},
): Promise<string> {
  signal?.throwIfAborted()
  const jobId = jobIdOf(event)
  const keep = keepFor(job, jobId)
  const added = queue.add(job.name, job.data, {
    ...job.options,
    jobId,
    removeOnComplete: keep,
    removeOnFail: keep,
  })
  await within(added, timeoutMs, signal, jobId, queue.name)
  await faultPoint('bullmq.job.added')
  return jobId
}

/** For jobs that failed, too: one that is removed would be added again. By age only: a count would remove younger ones. */
function keepFor<Data>(
  { redelivery, keepMs }: HandOverJob<Data>,
  jobId: string,
): false | { readonly age: number } {
  const neededMs = dedupWindowNeededMs(redelivery)
  const keptMs = keepMs ?? neededMs
  if (!(keptMs >= neededMs))
    throw new OutboxError(
      'CONSUMER_DEDUP_WINDOW_TOO_SHORT',
      `finished jobs are kept for ${keptMs} ms, but their events can be delivered again for ${
        neededMs === Infinity ? 'ever: the topic has no retention' : `${neededMs} ms`
      }`,
      { details: { jobId, keepMs: keptMs, neededMs } },
    )
  return keptMs === Infinity ? false : { age: Math.ceil(keptMs / 1_000) }
}

/** BullMQ waits for Redis for ever. */
async function within(
  added: Promise<unknown>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  jobId: string,
  queue: string,
): Promise<void> {
  using done = new LinkedSignal(signal)
  const tooLate = delay(timeoutMs, done.signal).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`)
  })
  try {
    await Promise.race([added, tooLate])
  } catch (cause) {
    signal?.throwIfAborted()
    throw new OutboxError(
      'CONSUMER_REDIS_UNAVAILABLE',
      `nobody knows whether job ${jobId} was added to queue ${queue}`,
      { cause, details: { jobId, queue } },
    )
  } finally {
    done.abort(undefined)
  }
}
