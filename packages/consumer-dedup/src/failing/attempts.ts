import type { Cause } from './dead-letter.js'
import type { MarkKey } from '../records/mark-key.js'

/** How often an event was tried. */
export interface Attempts {
  /** Attempts that failed. */
  readonly attempts: number
  /** Processes that ended while they handled this event alone. */
  readonly kills: number
}

/** What is known of the failed events of one partition. */
export interface AttemptLog {
  /** Undefined for an event that never failed. */
  of(mark: MarkKey): Attempts | undefined
  /** The event is about to run alone; counts a kill when the last one to say so never came back. */
  startAlone(mark: MarkKey): Promise<Attempts>
  fail(mark: MarkKey, cause: Cause): Promise<Attempts>
  /** The event was given up in good order, and this process lives: nobody died over it. Never throws. */
  leaveAlone(mark: MarkKey): Promise<void>
  /** The event has ended. */
  forget(mark: MarkKey): void
}

export const attemptKey = ({ source, id }: Pick<MarkKey, 'source' | 'id'>): string => `${source}\n${id}`
