import type { PartitionAddress } from '../partition-offsets.js'
import type { AbortedTransaction } from '../protocol/fetch.js'
import type { ConsumedRecord } from '../records/batch-record.js'

/** What one Fetch brought of one partition, as a read_committed reader may see it. */
export interface FetchedBatch extends PartitionAddress, LogOffsets {
  readonly topicId: string
  /** The offset that was asked for: the position to which this batch belongs. */
  readonly fetchedOffset: bigint
  /** The position behind it. It passes markers, aborted records and what compaction removed. */
  readonly nextOffset: bigint
  /** Committed records, in order; none when there was nothing but markers and aborted records. */
  readonly records: readonly ConsumedRecord[]
}

/** What a log held when it was last fetched from. */
export interface LogOffsets {
  /** The first offset that is still there. */
  readonly logStartOffset: bigint
  /** Everything below it is decided. Lag is the distance to here: a read_committed reader gets no further. */
  readonly lastStableOffset: bigint
  /** The end of what is replicated, undecided transactions included. */
  readonly highWatermark: bigint
}

/** A batch that waits for its turn: bytes, not yet decoded. */
export interface WaitingBatch extends LogOffsets {
  readonly topicId: string
  readonly fetchedOffset: bigint
  readonly nextOffset: bigint
  readonly bytes: Buffer
  readonly aborted: readonly AbortedTransaction[]
}
