import type { Position } from '../position.js'
import { isVisible, type Snapshot } from '../reading/snapshot.js'
import { shardOf, type ShardMap } from '../sharing/shard-map.js'

/**
 * Which of two events was published first, as far as the database can prove it: a shard publishes window after window,
 * and in a window in the order of `seq`, or transaction by transaction in the order of their last ones. The windows whose
 * publication is known are those that a later window record names as confirmed.
 *
 * A dump that was restored brings transaction ids of another cluster along, with windows of that cluster. Numbers of
 * the two are never compared with each other.
 */

/** Whose transaction ids a row or a window has: this cluster's, or those of the one that the dump was made of. */
export type Numbering = 'native' | 'copied'

/** What of a row decides its place. */
export interface Placeable {
  readonly txid: bigint
  readonly seq: bigint
  readonly bucket: number
  readonly topicName: string
}

/** Which shard of which generation of the shard map was to publish a row. */
export interface Place {
  readonly numbering: Numbering
  readonly generation: number
  readonly shard: number
}

/** A generation of the shard map that has begun, in one numbering. */
export interface Generation {
  readonly generation: number
  readonly map: ShardMap
  /** Everything visible here was published, or decided, before it began; of the first one, what it leaves out. By shard. */
  readonly begins: ReadonlyMap<number, Snapshot>
  /** Of shards whose beginning was rotated away: a later snapshot of theirs. */
  readonly since: ReadonlyMap<number, Snapshot>
}

/** A window that was published whole: rows visible in `to` and not in `from`. */
export interface PublishedWindow {
  readonly to: Snapshot
  /** Undefined when a window between them is not known to have been published. */
  readonly from: Snapshot | undefined
}

/** The row that a retained record is of, and the window in which it was published; undefined when that is not known. */
export interface Anchor extends Placeable {
  /** The last sequence number of its transaction. */
  readonly lastOfTransaction: bigint
  readonly place: Place
  readonly window: PublishedWindow | undefined
}

/** The place of a row, `'left out'` when the first start was told to leave it out (`startAt: 'now'`). */
export function placeOf(
  row: Placeable,
  numbering: Numbering,
  generations: readonly Generation[],
): Place | 'left out' | undefined {
  for (const { generation, map, begins, since } of generations.toReversed()) {
    const shard = shardOf(row, map)
    const begin = begins.get(shard)
    if (begin === undefined) {
      const later = since.get(shard)
      // What that snapshot shows may be of this generation, of one before it, or left out: it is in no known place.
      return later !== undefined && !isVisible(row.txid, later) ? { numbering, generation, shard } : undefined
    }
    if (!isVisible(row.txid, begin)) return { numbering, generation, shard }
    if (generation === 1) return 'left out'
  }
  return undefined
}

/** Whether the anchor's record was in its topic for certain before one of the row could have been. */
export function isSurelyBefore(anchor: Anchor, row: Placeable, place: Place): boolean {
  if (anchor.place.numbering !== place.numbering) return false
  if (anchor.place.generation !== place.generation) return anchor.place.generation < place.generation
  if (anchor.place.shard !== place.shard || anchor.window === undefined) return false
  const { from, to } = anchor.window
  if (!isVisible(row.txid, to)) return true
  if (from === undefined || isVisible(row.txid, from)) return false
  // In the same window the sequence number decides. Of another transaction it has to be above all of the anchor's own: the
  // window may have been published transaction by transaction.
  return row.seq > (row.txid === anchor.txid ? anchor.seq : anchor.lastOfTransaction)
}

/** Whether a position covers a row of its shard for certain: it was published, once, in the transaction of this position or before. */
export function isCovered(
  row: Pick<Placeable, 'txid' | 'seq'>,
  { from, to, lastSeq, lastOfTransaction, complete }: Position,
): boolean {
  if (isVisible(row.txid, from)) return true
  // Transaction by transaction, a lower number may be of one that is still to come.
  return isVisible(row.txid, to) && (complete || (lastOfTransaction === undefined && row.seq <= lastSeq))
}
