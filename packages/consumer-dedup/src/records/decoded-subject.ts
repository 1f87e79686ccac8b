import type { Subject } from '../modes/partition-effects.js'

/** An event in hand, with its payload. */
export interface DecodedSubject extends Subject {
  readonly payload: unknown
}
