import type { PartitionRecords } from '../records/partition-records.js'
import { addPartitions } from './add-partitions.js'
import { commitOffsets } from './commit-offsets.js'
import type { Placement } from './delivery.js'
import { produceRecords, type ProduceContext } from './produce-records.js'
import type { ConsumedOffsets } from './transaction-session.js'

/** What goes into one transaction. */
export interface TransactionContent {
  readonly partitions: readonly PartitionRecords[]
  readonly offsets: ConsumedOffsets | undefined
}

/**
 * Everything of a transaction up to its EndTxn, one step after the other, so that nothing is on its way any more when
 * it is aborted.
 *
 * @throws TransactionRefused when it can be aborted cleanly; KafkaFailure otherwise: never commit after either
 */
export async function fillTransaction(
  { partitions, offsets }: TransactionContent,
  context: ProduceContext,
): Promise<readonly Placement[]> {
  const { producer } = context
  if (partitions.length > 0 && producer.transactionVersion === 1) await addPartitions(partitions, context)
  const placed = partitions.length > 0 ? await produceRecords(partitions, context) : []
  if (offsets !== undefined) await commitOffsets(offsets, context)
  return placed
}
