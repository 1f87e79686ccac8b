import { OutboxError } from '@oncebox/core'
import type { AbortedTransaction } from '../protocol/fetch.js'
import type { ConsumedRecord } from './batch-record.js'
import { Decompression } from './decompression.js'
import { readBatches, type ConsumedBatch } from './read-batches.js'

/** What a read_committed reader may see of one Fetch answer, and where to go on. */
export interface CommittedRange {
  readonly records: readonly ConsumedRecord[]
  /** The offset behind the last batch that was read; undefined when the answer held no whole one. */
  readonly nextOffset: bigint | undefined
}

interface Bounds {
  /** What lies before it is left out: the first batch may begin earlier. */
  readonly from: bigint
  readonly decompressedBytesMax: number
}

/**
 * Drops the records of aborted transactions and the control records. The broker lists the aborted transactions in the
 * order of their aborts, so they are sorted by first offset; several may become due at one batch; and only the control
 * bit makes a record a marker. (kafkajs 2.2.4 gets all three wrong and leaks aborted records.)
 *
 * Stops early rather than decompress more than `decompressedBytesMax` in all: the rest is for another call.
 *
 * @throws OutboxError KAFKA_BATCH_TOO_LARGE when the first batch alone is larger, KAFKA_CODEC_MISSING, KAFKA_PROTOCOL
 */
export function committedRecords(
  bytes: Buffer,
  abortedTransactions: readonly AbortedTransaction[],
  { from, decompressedBytesMax }: Bounds,
): CommittedRange {
  const decompression = new Decompression(decompressedBytesMax)
  const due = abortedTransactions.toSorted((a, b) =>
    a.firstOffset < b.firstOffset ? -1 : a.firstOffset > b.firstOffset ? 1 : 0,
  )
  const aborting = new Set<bigint>()
  const records: ConsumedRecord[] = []
  let nextOffset: bigint | undefined
  let next = 0
  for (const batch of readBatches(bytes)) {
    const { lastOffset } = batch
    for (
      let transaction = due[next];
      transaction !== undefined && transaction.firstOffset <= lastOffset;
      transaction = due[++next]
    ) {
      aborting.add(transaction.producerId)
    }
    if (batch.control) {
      if (aborting.size > 0 && batch.marker === 'abort') aborting.delete(batch.producerId)
    } else if (
      lastOffset >= from &&
      !(aborting.size > 0 && batch.transactional && aborting.has(batch.producerId))
    ) {
      const found = recordsWithin(batch, decompression, nextOffset === undefined)
      if (found === undefined) break
      for (const record of found) if (record.offset >= from) records.push(record)
    }
    if (lastOffset >= from) nextOffset = lastOffset + 1n
  }
  return { records, nextOffset }
}

/** Undefined when they do not fit behind what the same answer has decompressed to already. */
function recordsWithin(
  batch: ConsumedBatch,
  decompression: Decompression,
  first: boolean,
): ConsumedRecord[] | undefined {
  try {
    return batch.records(decompression)
  } catch (error) {
    if (first || !OutboxError.is(error, 'KAFKA_BATCH_TOO_LARGE')) throw error
    return undefined
  }
}
