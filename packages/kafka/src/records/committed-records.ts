import type { AbortedTransaction } from '../protocol/fetch.js'
import { readBatches, type ConsumedRecord } from './read-batches.js'

/** What a read_committed reader may see of one Fetch answer, and where to go on. */
export interface CommittedRange {
  readonly records: readonly ConsumedRecord[]
  /** The offset behind the last whole batch; undefined when the answer held none. */
  readonly nextOffset: bigint | undefined
}

/**
 * Drops the records of aborted transactions and the control records. The broker lists the aborted transactions in the
 * order of their aborts, so they are sorted by first offset; several may become due at one batch; and only the control
 * bit makes a record a marker. (kafkajs 2.2.4 gets all three wrong and leaks aborted records.)
 */
export function committedRecords(
  bytes: Buffer,
  abortedTransactions: readonly AbortedTransaction[],
): CommittedRange {
  const due = abortedTransactions.toSorted((a, b) =>
    a.firstOffset < b.firstOffset ? -1 : a.firstOffset > b.firstOffset ? 1 : 0,
  )
  const aborting = new Set<bigint>()
  const records: ConsumedRecord[] = []
  let nextOffset: bigint | undefined
  let next = 0
  for (const batch of readBatches(bytes)) {
    nextOffset = batch.lastOffset + 1n
    for (
      let transaction = due[next];
      transaction !== undefined && transaction.firstOffset <= batch.lastOffset;
      transaction = due[++next]
    ) {
      aborting.add(transaction.producerId)
    }
    if (batch.control) {
      if (batch.aborts) aborting.delete(batch.producerId)
      continue
    }
    if (batch.transactional && aborting.has(batch.producerId)) continue
    for (const record of batch.records()) records.push(record)
  }
  return { records, nextOffset }
}
