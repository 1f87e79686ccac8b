import type { StartAt } from '../positions/start-at.js'
import type { ResolvedCommonOptions } from '../resolved-options.js'

/** Where a topic begins that has no position yet. What was sent to a retry topic has been read already: nothing of it is passed over. */
export const startOf = (
  { tiers, startAt }: Pick<ResolvedCommonOptions, 'tiers' | 'startAt'>,
  topic: string,
): StartAt => (tiers?.of(topic) === undefined ? startAt : 'earliest')
