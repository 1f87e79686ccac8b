import type { KafkaClient } from '../client.js'
import { clusterOf } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { lastStableOffset, logStartOffset, type PartitionAddress } from '../partition-offsets.js'
import { readCommitted } from './read-committed.js'
import type { ConsumedRecord } from '../records/batch-record.js'

export interface ReadPartitionOptions extends PartitionAddress {
  /** Default: the first offset that is still there. */
  readonly fromOffset?: bigint
  readonly signal?: AbortSignal
}

const readDeadlineMs = 15 * 60_000

/**
 * The committed records of a partition up to the last stable offset at the time of the call. For tests and tools: at
 * most 15 minutes.
 */
export async function* readPartition(
  client: KafkaClient,
  options: ReadPartitionOptions,
): AsyncGenerator<ConsumedRecord> {
  const cluster = clusterOf(client)
  const at = { topic: options.topic, partition: options.partition }
  using deadline = new Deadline(readDeadlineMs, `reading ${at.topic}-${at.partition}`, options.signal)
  const end = await lastStableOffset(cluster, at, deadline)
  const from = options.fromOffset ?? (await logStartOffset(cluster, at, deadline))
  for await (const records of readCommitted(cluster, at, from, end, deadline)) yield* records
}
