import type { KafkaClient } from '../client.js'
import { clusterOf } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { lastStableOffset, logStartOffset, type PartitionAddress } from '../partition-offsets.js'
import { readCommitted } from './read-committed.js'
import type { ConsumedRecord } from '../records/batch-record.js'

export interface ReadPartitionOptions extends PartitionAddress {
  /** Default: the first offset that is still there. */
  readonly fromOffset?: bigint
  /** Default: the last stable offset at the time of the call. */
  readonly endOffset?: bigint
  /** Bounds the whole reading. Default 15 minutes. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
}

const defaultDeadlineMs = 15 * 60_000

/** The committed records of a partition, in order. For tests and tools. */
export async function* readPartition(
  client: KafkaClient,
  options: ReadPartitionOptions,
): AsyncGenerator<ConsumedRecord> {
  const cluster = clusterOf(client)
  const at = { topic: options.topic, partition: options.partition }
  const { deadlineMs = defaultDeadlineMs, signal } = options
  using deadline = new Deadline(deadlineMs, `reading ${at.topic}-${at.partition}`, signal)
  const end = options.endOffset ?? (await lastStableOffset(cluster, at, deadline))
  const from = options.fromOffset ?? (await logStartOffset(cluster, at, deadline))
  for await (const records of readCommitted(cluster, at, from, end, deadline)) yield* records
}
