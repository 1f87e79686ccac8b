import type { PartitionRecords } from '@oncebox/kafka'
import type { Halt, SetAside } from './exceptions.js'

/** A page of rows as the record batches of one Kafka transaction. */
export interface EncodedBatch {
  readonly partitions: readonly PartitionRecords[]
  readonly events: number
  /** Rows that were read: those that are set aside or passed over count, too. */
  readonly rows: number
  /** Of the last row that was read. */
  readonly lastSeq: bigint
  /** Last sequence number of the transaction that `lastSeq` is of, where rows come transaction by transaction. */
  readonly lastOfTransaction: bigint | undefined
  /** Transactions that rows were read of; 0 where rows come by their numbers. */
  readonly transactions: number
  /** Of the last event in the batch; 0 for none. */
  readonly lastEventSeq: bigint
  /** Payloads, and the fixed cost that readWindow counts for each row: at bytesMax or above, the page was cut by bytes. */
  readonly boundedBytes: number
  /** When the oldest event of the batch was emitted, milliseconds since 1970; infinite without events. */
  readonly oldestMs: number
  readonly topics: readonly string[]
  /** Header traceparent of its events, 128 at most; none unless somebody listens to what is published. */
  readonly traceparents: readonly string[]
  /** Events that need a dead letter before the position may pass them. */
  readonly setAside: readonly SetAside[]
  /** Why the rows behind `lastSeq` are not in the batch; they are not read when it is undefined and the page is not `whole`, either. */
  readonly halt: Halt | undefined
  readonly whole: boolean
}
