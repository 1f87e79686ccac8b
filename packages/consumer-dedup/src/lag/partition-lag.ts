/** How far a partition is behind. Offsets are decimal: they are 64 bits wide. */
export interface PartitionLag {
  readonly topic: string
  readonly partition: number
  /** The next offset to handle. */
  readonly position: string
  /** Everything below it is decided: a consumer gets no further. */
  readonly lastStableOffset: string
  /** From the one to the other. Counts offsets: markers of transactions and aborted records are among them. */
  readonly lag: number
}

export function partitionLag(
  { topic, partition }: Pick<PartitionLag, 'topic' | 'partition'>,
  position: bigint,
  lastStableOffset: bigint,
): PartitionLag {
  const lag = lastStableOffset > position ? Number(lastStableOffset - position) : 0
  return { topic, partition, position: String(position), lastStableOffset: String(lastStableOffset), lag }
}
