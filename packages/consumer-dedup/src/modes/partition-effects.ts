import type { Envelope } from '@oncebox/core'
import type { Attempts, AttemptLog } from '../failing/attempts.js'
import type { FailureKind } from '../failing/failure.js'
import type { PartitionKey } from '../positions/position-store.js'
import type { MarkKey } from '../records/mark-key.js'
import type { ConsumerRecord } from '../records/record.js'
import type { Retried } from '../retrying/retry-copy.js'
import type { Tier } from '../retrying/tiers.js'

/** An event in hand. */
export interface Subject {
  readonly record: ConsumerRecord
  readonly envelope: Envelope
  readonly mark: MarkKey
  /** Of an event in a retry topic. */
  readonly retried?: Retried | undefined
}

/** What became of one try. */
export type EffectOutcome =
  | { readonly kind: 'handled' }
  /** The effect was there already. */
  | { readonly kind: 'duplicate' }
  /** An earlier event of its key waits, and it waits behind it: the handler did not run. */
  | { readonly kind: 'parked' }
  | { readonly kind: 'failed'; readonly failure: FailureKind; readonly error: unknown }

/** What became of several events that were tried together. */
export type BatchOutcome =
  | { readonly kind: 'handled'; readonly duplicates: ReadonlySet<Subject> }
  | Extract<EffectOutcome, { kind: 'failed' }>

export interface Attempt<Context> {
  readonly subject: Subject
  readonly signal: AbortSignal
  /** Runs the handler. */
  readonly work: (context: Context) => Promise<void>
}

export interface BatchAttempt<Context> {
  /** In order of their offsets. */
  readonly subjects: readonly Subject[]
  /** The offset behind the last of them, and behind what was skipped. */
  readonly next: bigint
  readonly signal: AbortSignal
  /** Runs the handlers of those that are no duplicates. */
  readonly work: (subjects: readonly Subject[], context: Context) => Promise<void>
}

/** An event that no attempt in its turn can help any more. */
export interface GivenUp {
  readonly subject: Subject
  readonly signal: AbortSignal
  readonly known: Attempts
  readonly error: unknown
}

/** An event whose next attempt is from a retry topic. */
export interface Forwarding extends GivenUp {
  readonly tier: Tier
}

/**
 * What one mode does with the events of one partition: what takes effect together with what, and where the position is
 * kept. Everything in memory here is worth only as much as its last compare and set: any doubt, and the owner throws
 * this object away and reads the position again.
 */
export interface PartitionEffects<Context> {
  readonly key: PartitionKey
  /** The next offset to fetch. */
  readonly next: bigint
  /** Events below this offset were in hand of somebody who died: each runs alone, with a started-record of its own. */
  readonly aloneUntil: bigint
  readonly attempts: AttemptLog
  /** The server processes of the transactions in hand. */
  readonly backends: Iterable<number>

  /** Resolves when another event may be begun, or the signal is aborted. Absent where it may at any time. */
  room?(signal: AbortSignal): Promise<void>
  /** Events from the position up to `end` are about to be handled. */
  begin(end: bigint): Promise<void>
  /** Never throws: an outcome that is not known is a failure of the kind `unavailable`. */
  attempt(attempt: Attempt<Context>): Promise<EffectOutcome>
  /** Several events in one step, all or none. Never throws. Absent where a mode knows no such step. */
  attemptTogether?(attempt: BatchAttempt<Context>): Promise<BatchOutcome>
  /** Puts the event into the queue of its key, to be tried later. Never throws. Absent where a mode has no such queue. */
  park?(event: GivenUp): Promise<EffectOutcome>
  /**
   * Sends the event to a retry topic. Never throws: `permanent` says that it cannot be sent there. Absent where a mode does
   * not answer for that.
   */
  forward?(event: Forwarding): Promise<EffectOutcome>
  /** Keeps the event where a person finds it. Never throws. */
  giveUp(event: GivenUp): Promise<EffectOutcome>
  /**
   * Everything before `next` has ended: the position moves there. Events up to `end` are still in hand.
   * @throws OutboxError CONSUMER_POSITION_LOST
   */
  pass(next: bigint, end: bigint): Promise<void>
  /** Gives back what it holds; nothing more is begun. Safe to call twice. */
  close(): Promise<void>
}
