import type { Rule } from '@internal/proxy'
import { NotApplicable } from '../verdict.js'

/** @throws NotApplicable when the client never sent the frame that the fault was for */
export function hasHappened(fault: Rule, what: string): void {
  if (fault.frames.length === 0) throw new NotApplicable(`no ${what} was lost`)
}
