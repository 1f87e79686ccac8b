import { OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { logStartOffset, type PartitionAddress } from '../partition-offsets.js'
import { offsetBehind } from '../records/read-batches.js'
import { fetchPartition } from './fetch-partition.js'
import { LastValueSearch, type Stretch } from './last-value-search.js'
import { readCommitted } from './read-committed.js'

export interface ReadLastValueOptions extends PartitionAddress {
  readonly key: Uint8Array
  /** Usually the offset of one's own claim, past which the last stable offset is known to be. */
  readonly beforeOffset: bigint
  readonly signal?: AbortSignal
}

const readDeadlineMs = 120_000
const patienceMs = 10_000
const firstStretch = 256n
/** Of one fetch: no more than a stretch of usual records, or what lies behind it would be read again each time. */
const bytesPerOffset = 512
const fetchBytes = { min: 64 * 1024, max: 8 * 1024 * 1024 }

/**
 * The last committed value of `key` below `beforeOffset`, or null when there is none (or the last one is a tombstone).
 * Reads backwards in stretches that double, so a position that was written lately costs one Fetch, and one that lies
 * behind a million claims or aborted positions costs one reading of those.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE after 120 s
 */
export async function readLastValue(
  client: KafkaClient,
  options: ReadLastValueOptions,
): Promise<{ offset: bigint; value: Buffer } | null> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(
    readDeadlineMs,
    `reading ${options.topic}-${options.partition}`,
    options.signal,
  )
  const { topicId } = await cluster.layout(options.topic, deadline)
  const at = { topic: options.topic, topicId, partition: options.partition }
  const start = await logStartOffset(cluster, at, deadline)
  const search = new LastValueSearch(options.key, cluster.options.decompressedBytesMax)
  const isVisible = (offset: bigint): Promise<boolean> => isCommitted(cluster, at, offset, deadline)
  let length = firstStretch
  for (let end = options.beforeOffset; end > start; length *= 2n) {
    const stretch = { from: end - length > start ? end - length : start, end }
    for await (const bytes of readStretch(cluster, at, stretch, deadline)) search.see(bytes, stretch)
    const last = await search.close(isVisible)
    // A copy: the view would keep the whole answer alive.
    if (last !== undefined)
      return last.value === null ? null : { offset: last.offset, value: Buffer.from(last.value) }
    end = stretch.from
  }
  return null
}

/** The batches of a stretch as they stand in the log. The next fetch is under way while the last answer is looked at. */
async function* readStretch(
  cluster: Cluster,
  at: PartitionAddress & { readonly topicId: string },
  { from, end }: Stretch,
  deadline: Deadline,
): AsyncGenerator<Buffer> {
  const maxBytes = Math.max(fetchBytes.min, Math.min(fetchBytes.max, Number(end - from) * bytesPerOffset))
  const fetchFrom = (offset: bigint): Promise<{ readonly records: Buffer }> => {
    const fetching = fetchPartition(
      cluster,
      at,
      { offset, maxBytes, isolation: 'read-uncommitted' },
      deadline,
    )
    fetching.catch(() => undefined) // awaited below, unless what was read before it is in doubt
    return fetching
  }
  let patientUntil = performance.now() + patienceMs
  let fetching: Promise<{ readonly records: Buffer }> | undefined = fetchFrom(from)
  for (let offset = from; fetching !== undefined;) {
    const { records } = await fetching
    const next = offsetBehind(records)
    if (next === undefined) {
      // A new leader may not know for a moment how far its followers are.
      if (performance.now() >= patientUntil) throw cutShort(at, offset, end)
      fetching = fetchFrom(offset)
      continue
    }
    patientUntil = performance.now() + patienceMs
    fetching = next < end ? fetchFrom(next) : undefined
    offset = next
    yield records
  }
}

const cutShort = (at: PartitionAddress, offset: bigint, end: bigint): OutboxError =>
  new OutboxError(
    'KAFKA_TOPIC_UNAVAILABLE',
    `reading ${at.topic}-${at.partition}: the log ends at offset ${offset}, and was to be read up to ${end}`,
    { details: { topic: at.topic, partition: at.partition, offset: String(offset), end: String(end) } },
  )

/** Whether readers of committed records see the one at this offset. */
async function isCommitted(
  cluster: Cluster,
  at: PartitionAddress,
  offset: bigint,
  deadline: Deadline,
): Promise<boolean> {
  for await (const records of readCommitted(cluster, at, offset, offset + 1n, deadline))
    if (records.length > 0) return true
  return false
}
