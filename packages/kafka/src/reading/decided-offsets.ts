import { OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import {
  highWatermark,
  lastStableOffset,
  logStartOffset,
  offsetAtTime,
  openTransactions,
  type PartitionAddress,
} from '../partition-offsets.js'

/** What of a partition can be read, with everything in it committed or aborted. */
export interface DecidedRange {
  /** The first offset that is still there. */
  readonly start: bigint
  /** Behind the last one. */
  readonly end: bigint
}

export interface UntilDecidedOptions {
  /** How long open transactions are waited for. */
  readonly withinMs: number
  readonly signal?: AbortSignal
}

const pollMs = { min: 2, max: 200 }
const namingDeadlineMs = 5_000

/**
 * Waits until everything that was in the topic at the time of the call is decided: nothing that a transaction, open
 * now, may still commit is missing from what is read afterwards.
 *
 * @returns By partition.
 * @throws OutboxError KAFKA_PARTITION_UNDECIDED, naming the open transaction; KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE
 */
export async function untilDecided(
  client: KafkaClient,
  topic: string,
  { withinMs, signal }: UntilDecidedOptions,
): Promise<readonly DecidedRange[]> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(withinMs, `waiting until ${topic} is decided`, signal)
  const { leaders } = await cluster.layout(topic, deadline, { refresh: true })
  return await Promise.all(
    leaders.map(async (_, partition) => {
      const at = { topic, partition }
      const end = await untilStable(cluster, at, deadline, signal)
      return { start: await logStartOffset(cluster, at, deadline), end }
    }),
  )
}

/**
 * Where a reader of everything since a time begins: no record with a later timestamp lies before it.
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE
 */
export async function offsetSince(
  client: KafkaClient,
  at: PartitionAddress,
  time: { readonly timestampMs: number; readonly otherwise: bigint },
  signal?: AbortSignal,
): Promise<bigint> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(namingDeadlineMs * 6, `looking up a time in ${at.topic}`, signal)
  return (await offsetAtTime(cluster, at, time.timestampMs, deadline)) ?? time.otherwise
}

async function untilStable(
  cluster: Cluster,
  at: PartitionAddress,
  deadline: Deadline,
  signal: AbortSignal | undefined,
): Promise<bigint> {
  const wanted = await highWatermark(cluster, at, deadline)
  try {
    for (let waitMs = pollMs.min; ; waitMs = Math.min(pollMs.max, 2 * waitMs)) {
      const stable = await lastStableOffset(cluster, at, deadline)
      if (stable >= wanted) return stable
      await deadline.delay(waitMs)
    }
  } catch (error) {
    if (!deadline.expired || signal?.aborted === true) throw error
    throw await undecided(cluster, at, wanted, error)
  }
}

async function undecided(
  cluster: Cluster,
  at: PartitionAddress,
  wanted: bigint,
  cause: unknown,
): Promise<OutboxError> {
  const place = `${at.topic}-${at.partition}`
  using deadline = new Deadline(namingDeadlineMs, `naming the open transaction on ${place}`)
  const open = await openTransactions(cluster, at, deadline).catch(() => [])
  const names = open.map(
    ({ producerId, transactionStartOffset }) =>
      `producer ${producerId} (from offset ${transactionStartOffset})`,
  )
  return new OutboxError(
    'KAFKA_PARTITION_UNDECIDED',
    `${place}: what stands there up to offset ${wanted} is not decided, as a transaction is open: ${names.join(', ') || 'nobody says whose'}`,
    { cause, details: { ...at, producerIds: open.map(({ producerId }) => String(producerId)) } },
  )
}
