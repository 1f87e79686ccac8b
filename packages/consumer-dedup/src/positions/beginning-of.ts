import type { Beginning } from './start-at.js'
import type { ResolvedCommonOptions } from '../resolved-options.js'

/** Where a topic begins that has no position yet. What was sent to a retry topic has been read already: nothing of it is passed over. */
export const beginningOf = (
  { tiers, startAt, assign = [] }: Pick<ResolvedCommonOptions, 'tiers' | 'startAt' | 'assign'>,
  topic: string,
): Beginning => ({
  startAt: tiers?.of(topic) === undefined ? startAt : 'earliest',
  offsets: new Map(
    assign.flatMap((one) =>
      one.topic === topic && one.offset !== undefined ? [[one.partition, BigInt(one.offset)] as const] : [],
    ),
  ),
})
