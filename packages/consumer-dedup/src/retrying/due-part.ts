import type { FetchedBatch } from '@oncebox/kafka'
import { dueAtOf } from './retry-copy.js'

// What waits is fetched again when its time has come: not for each event anew when many are due one after the other.
const waitMsMin = 50
// Looked at again from time to time: clocks are set.
const waitMsMax = 60_000

/** What of a batch may be handled now. */
export interface DuePart {
  readonly batch: FetchedBatch
  /** How long what is behind it waits; undefined when nothing does. */
  readonly waitMs: number | undefined
}

/** The part of a retry topic's batch whose time has come. Events of a tier wait equally long, so what is behind waits longer. */
export function duePart(batch: FetchedBatch, now: number): DuePart {
  const index = batch.records.findIndex(({ headers }) => dueAtOf(headers) > now)
  const first = batch.records[index]
  if (first === undefined) return { batch, waitMs: undefined }
  return {
    batch: { ...batch, records: batch.records.slice(0, index), nextOffset: first.offset },
    waitMs: Math.min(Math.max(dueAtOf(first.headers) - now, waitMsMin), waitMsMax),
  }
}
