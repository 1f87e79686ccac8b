import type { PartitionOffsets } from '@oncebox/kafka'

/** Where a consumer begins that has no position yet: with what is still there, or with what comes. */
export type StartAt = 'earliest' | 'latest'

export const firstOffset = (
  startAt: StartAt,
  { logStartOffset, lastStableOffset }: PartitionOffsets,
): bigint => (startAt === 'latest' ? lastStableOffset : logStartOffset)
