/** What the processes of the benchmark say to each other. Times are of the machine's monotonic clock. */

/** So many events from number `from` on, `perSecond`, whether or not the ones before have been answered. */
export interface Emission {
  readonly from: number
  readonly events: number
  readonly perSecond: number
  /** Whether the relay is told of each commit by NOTIFY. */
  readonly notify?: boolean
}

/** One event, as its writer saw it: the statement or the send goes out, its answer is in. */
export interface Written {
  readonly number: number
  readonly sentMs: number
  readonly ackedMs: number
}

/** One event, as the consumer saw it. */
export interface Arrived {
  readonly number: number
  readonly partition: number
  readonly offset: number
  readonly atMs: number
}

/** One batch, as the relay went through it. */
export interface Batch {
  readonly placed: readonly { readonly partition: number; readonly first: number; readonly last: number }[]
  /** The read that found its events begins. */
  readonly pollMs: number
  /** The rows are here. */
  readonly readMs: number
  readonly encodedMs: number
  readonly producedMs: number
  readonly endSentMs: number
  readonly endedMs: number
}
