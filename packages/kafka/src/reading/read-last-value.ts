import type { KafkaClient } from '../client.js'
import { clusterOf } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { logStartOffset, type PartitionAddress } from '../partition-offsets.js'
import { readCommitted } from './read-committed.js'

export interface ReadLastValueOptions extends PartitionAddress {
  readonly key: Uint8Array
  /** Usually the offset of one's own claim, past which the last stable offset is known to be. */
  readonly beforeOffset: bigint
  readonly signal?: AbortSignal
}

const readDeadlineMs = 120_000
const firstRange = 64n

/**
 * The last committed value of `key` below `beforeOffset`, or null when there is none (or the last one is a tombstone).
 * Reads backwards in ranges that double, so a position that was written lately costs one Fetch.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE after 120 s
 */
export async function readLastValue(
  client: KafkaClient,
  options: ReadLastValueOptions,
): Promise<{ offset: bigint; value: Buffer } | null> {
  const cluster = clusterOf(client)
  const at = { topic: options.topic, partition: options.partition }
  using deadline = new Deadline(readDeadlineMs, `reading ${at.topic}-${at.partition}`, options.signal)
  const start = await logStartOffset(cluster, at, deadline)
  let range = firstRange
  for (let end = options.beforeOffset; end > start; range *= 2n) {
    const from = end - range > start ? end - range : start
    let last: { offset: bigint; value: Buffer | null } | undefined
    for await (const records of readCommitted(cluster, at, from, end, deadline)) {
      for (const { offset, key, value } of records)
        if (key?.equals(options.key) === true) last = { offset, value }
    }
    // A copy: the view would keep the whole Fetch answer alive.
    if (last !== undefined)
      return last.value === null ? null : { offset: last.offset, value: Buffer.from(last.value) }
    end = from
  }
  return null
}
