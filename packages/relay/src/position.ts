import { OutboxError } from '@oncebox/core'
import { parseSnapshot, type Snapshot } from './reading/snapshot.js'

/** Names one window for good: numbers repeat across epochs, the triple does not. The incarnation is the one that recorded it. */
export interface WindowName {
  readonly generation: number
  readonly epoch: number
  readonly number: number
  readonly incarnation: string
}

/**
 * How far a shard is, as recorded in Kafka inside the transaction that published the events. Batches and windows are
 * counted apart: a large window is published in several batches.
 */
export interface Position {
  /** Counts batches, over all incarnations: a higher one is later. */
  readonly batch: number
  readonly incarnation: string
  readonly window: WindowName
  readonly from: Snapshot
  readonly to: Snapshot
  /** Sequence number of the last event published of this window. */
  readonly lastSeq: bigint
  /**
   * In a window that is published transaction by transaction, until it is complete: the last sequence number of the
   * transaction that `lastSeq` is of. Transactions follow each other in the order of these.
   */
  readonly lastOfTransaction?: bigint | undefined
  /** Whether that was the last event of the window. */
  readonly complete: boolean
  readonly clusterId: string
  readonly progressTopicId: string
  /** Generation of the shard map and its number of shards. */
  readonly shards: number
  /** Events of the batch, and of all batches. */
  readonly events: number
  readonly eventsTotal: number
  /**
   * Topics that batches up to this one were written to since their commit markers were last seen. Whoever goes on from
   * here looks for the markers before rows may go. Missing: not known.
   */
  readonly unproven?: readonly string[] | undefined
  /** The last position of this shard map: the generation that goes on from here, and only that may. */
  readonly closedFor?: number
  /**
   * Numbers of the dead letters that this transaction published again, until the database knows it: before the next
   * position it does, and whoever opens the shard in between tells it. A release that does not know the field drops it,
   * so letters are requeued only when no such process is left.
   */
  readonly requeued?: readonly number[]
  /** What of a replay this transaction published again; as `requeued` in everything else. */
  readonly replayed?: ReplayedUpTo
}

/** How far a replay is in a shard. */
export interface ReplayedUpTo {
  /** The number of the request. */
  readonly number: number
  /** Everything up to this sequence number is done. */
  readonly seq: bigint
  /** Published, and left out because their topic does not take them, since the step before. */
  readonly events: number
  readonly refused: number
}

/**
 * Version of the record. Releases that follow each other run side by side during an upgrade, and each may find what the other
 * wrote: a field that is added under the same version must be one that an older release may drop, for it passes over what it
 * does not know; a form that it would misread gets a new version, which is written a release later than it is read.
 */
const version = 1
// Events with a lower sequence number than lastSeq may be left: whoever does not know that would lose them.
const inTransactionsVersion = 2

interface PositionRecord {
  readonly v: number
  readonly batch: number
  readonly incarnation: string
  readonly window: WindowName
  readonly from: string
  readonly to: string
  readonly lastSeq: string
  readonly lastOfTransaction?: string | undefined
  readonly complete: boolean
  readonly clusterId: string
  readonly progressTopicId: string
  readonly shards: number
  readonly events: number
  readonly eventsTotal: number
  readonly unproven?: readonly string[] | undefined
  readonly closedFor?: number
  readonly requeued?: readonly number[]
  readonly replayed?: Omit<ReplayedUpTo, 'seq'> & { readonly seq: string }
}

/** The position behind this one; what belongs to one transaction only is not carried on. */
export function positionBehind(
  before: Position,
  changes: Partial<Omit<Position, 'batch' | 'eventsTotal'>> & Pick<Position, 'incarnation' | 'events'>,
): Position {
  const { requeued: _requeued, replayed: _replayed, lastOfTransaction, ...position } = before
  return {
    ...position,
    ...(changes.complete !== true && lastOfTransaction !== undefined && { lastOfTransaction }),
    batch: position.batch + 1,
    eventsTotal: position.eventsTotal + changes.events,
    ...changes,
  }
}

export function encodePosition({ replayed, ...position }: Position): Buffer {
  const record: PositionRecord = {
    ...position,
    ...(replayed && { replayed: { ...replayed, seq: replayed.seq.toString() } }),
    v: position.lastOfTransaction === undefined ? version : inTransactionsVersion,
    from: position.from.text,
    to: position.to.text,
    lastSeq: position.lastSeq.toString(),
    lastOfTransaction: position.lastOfTransaction?.toString(),
  }
  return Buffer.from(JSON.stringify(record))
}

/** @throws OutboxError KAFKA_PROGRESS_CORRUPT */
export function decodePosition(value: Uint8Array): Position {
  const corrupt = (why: string, cause?: unknown): OutboxError =>
    new OutboxError('KAFKA_PROGRESS_CORRUPT', `the position in Kafka cannot be read: ${why}`, { cause })
  let record: Partial<PositionRecord>
  try {
    // The fields are checked below; what JSON.parse returns is anything.
    record = JSON.parse(Buffer.from(value).toString('utf8')) as Partial<PositionRecord>
  } catch (error) {
    throw corrupt('it is not JSON', error)
  }
  if (typeof record.v === 'number' && record.v > inTransactionsVersion)
    throw new OutboxError(
      'RELAY_RECORD_NEWER',
      `the position in Kafka is of version ${record.v}, this release reads up to version ${inTransactionsVersion}`,
      { details: { version: record.v, known: inTransactionsVersion } },
    )
  if (record.v !== version && record.v !== inTransactionsVersion)
    throw corrupt(`version ${String(record.v)}, this relay reads ${version} and ${inTransactionsVersion}`)
  const {
    batch,
    incarnation,
    window,
    from,
    to,
    lastSeq,
    lastOfTransaction,
    complete,
    clusterId,
    progressTopicId,
    shards,
    events,
    eventsTotal,
    unproven,
    closedFor,
    requeued,
    replayed,
  } = record
  if (
    !isCount(batch) ||
    typeof incarnation !== 'string' ||
    typeof from !== 'string' ||
    typeof to !== 'string' ||
    !isSeq(lastSeq) ||
    (record.v === inTransactionsVersion && !isSeq(lastOfTransaction)) ||
    typeof complete !== 'boolean' ||
    typeof clusterId !== 'string' ||
    typeof progressTopicId !== 'string' ||
    !isCount(shards) ||
    !isCount(events) ||
    !isCount(eventsTotal) ||
    window === undefined ||
    !isCount(window.generation) ||
    !isCount(window.epoch) ||
    !isCount(window.number) ||
    typeof window.incarnation !== 'string' ||
    (unproven !== undefined && !isTexts(unproven)) ||
    (closedFor !== undefined && !isCount(closedFor)) ||
    (requeued !== undefined && !(Array.isArray(requeued) && requeued.every(isCount))) ||
    (replayed !== undefined && !isReplayed(replayed))
  ) {
    throw corrupt('a field is missing or of another type')
  }
  return {
    batch,
    incarnation,
    window,
    from: parseSnapshot(from),
    to: parseSnapshot(to),
    lastSeq: BigInt(lastSeq),
    ...(isSeq(lastOfTransaction) && { lastOfTransaction: BigInt(lastOfTransaction) }),
    complete,
    clusterId,
    progressTopicId,
    shards,
    events,
    eventsTotal,
    ...(unproven === undefined ? {} : { unproven }),
    ...(closedFor === undefined ? {} : { closedFor }),
    ...(requeued === undefined ? {} : { requeued }),
    ...(replayed === undefined ? {} : { replayed: { ...replayed, seq: BigInt(replayed.seq) } }),
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const isReplayed = ({ number, seq, events, refused }: NonNullable<PositionRecord['replayed']>): boolean =>
  isCount(number) && isSeq(seq) && isCount(events) && isCount(refused)

const isSeq = (value: unknown): value is string => typeof value === 'string' && /^\d+$/.test(value)

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
