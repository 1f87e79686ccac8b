import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { highWatermark, type PartitionAddress } from '../partition-offsets.js'
import type { ConsumedRecord } from '../records/batch-record.js'
import { Decompression } from '../records/decompression.js'
import { readBatches, type ConsumedBatch } from '../records/read-batches.js'
import { fetchPartition } from './fetch-partition.js'

/** A record that read_committed readers do not see, perhaps not yet. */
export interface UndecidedRecord {
  readonly record: ConsumedRecord
  readonly producerId: bigint
  /** What became of its transaction: `open` when its marker is not there. Records without a transaction are committed. */
  readonly outcome: 'committed' | 'aborted' | 'open'
}

export interface ReadUndecidedOptions extends PartitionAddress {
  readonly fromOffset: bigint
  readonly signal?: AbortSignal
}

const fetchBytesMax = 1024 * 1024
const readDeadlineMs = 15 * 60_000

/**
 * All records from `fromOffset` to the high watermark, also behind a transaction that never ended, with what became of
 * each. Reads the range twice: what ends a transaction stands behind it.
 */
export async function* readUndecided(
  client: KafkaClient,
  options: ReadUndecidedOptions,
): AsyncGenerator<UndecidedRecord> {
  const cluster = clusterOf(client)
  const at = { topic: options.topic, partition: options.partition }
  using deadline = new Deadline(readDeadlineMs, `reading ${at.topic}-${at.partition}`, options.signal)
  const range = { from: options.fromOffset, end: await highWatermark(cluster, at, deadline) }
  const ends = new TransactionEnds()
  for await (const batch of readBatchesBetween(cluster, at, range, deadline)) ends.see(batch)
  for await (const batch of readBatchesBetween(cluster, at, range, deadline)) {
    if (batch.control) continue
    const outcome = batch.transactional ? ends.outcomeOf(batch) : 'committed'
    for (const record of batch.records(new Decompression(cluster.options.decompressedBytesMax)))
      if (record.offset >= range.from) yield { record, producerId: batch.producerId, outcome }
  }
}

/** The markers of a stretch of a log, by producer. */
class TransactionEnds {
  readonly #ends = new Map<bigint, { readonly offset: bigint; readonly marker: 'commit' | 'abort' }[]>()

  see(batch: ConsumedBatch): void {
    if (batch.marker === undefined) return
    const ends = this.#ends.get(batch.producerId) ?? []
    ends.push({ offset: batch.lastOffset, marker: batch.marker })
    this.#ends.set(batch.producerId, ends)
  }

  /** The first marker of the producer behind the batch is its transaction's. */
  outcomeOf({ producerId, lastOffset }: ConsumedBatch): UndecidedRecord['outcome'] {
    const end = this.#ends.get(producerId)?.find(({ offset }) => offset > lastOffset)
    if (end === undefined) return 'open'
    return end.marker === 'commit' ? 'committed' : 'aborted'
  }
}

async function* readBatchesBetween(
  cluster: Cluster,
  at: PartitionAddress,
  { from, end }: { readonly from: bigint; readonly end: bigint },
  deadline: Deadline,
): AsyncGenerator<ConsumedBatch> {
  const { topicId } = await cluster.layout(at.topic, deadline)
  for (let offset = from; offset < end;) {
    const fetched = { offset, maxBytes: fetchBytesMax, isolation: 'read-uncommitted' } as const
    const { records } = await fetchPartition(cluster, { ...at, topicId }, fetched, deadline)
    let next = offset
    for (const batch of readBatches(records)) {
      if (batch.lastOffset < offset) continue
      yield batch
      next = batch.lastOffset + 1n
    }
    offset = next
  }
}
