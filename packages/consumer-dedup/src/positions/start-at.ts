import type { PartitionOffsets } from '@oncebox/kafka'

/** Where a consumer begins that has no position yet: with what is still there, or with what comes. */
export type StartAt = 'earliest' | 'latest'

/** Where the partitions of a topic begin that have no position yet. */
export interface Beginning {
  readonly startAt: StartAt
  /** By partition, where somebody has said. It counts before `startAt`, also in a partition that was added later. */
  readonly offsets: ReadonlyMap<number, bigint>
}

/** @param isAdded The consumer knew the topic before it had this partition: it would skip what came before it noticed. */
export function firstOffset(
  { startAt, offsets }: Beginning,
  partition: number,
  { logStartOffset, lastStableOffset }: PartitionOffsets,
  isAdded: boolean,
): bigint {
  const given = offsets.get(partition)
  if (given !== undefined) return given
  if (isAdded) return 0n
  return startAt === 'latest' ? lastStableOffset : logStartOffset
}
