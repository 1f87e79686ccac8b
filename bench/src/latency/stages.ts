import type { Arrived, Batch, Written } from './messages.js'
import { mean } from './percentiles.js'

/** Where the time of an event goes between the answer to COMMIT and its arrival, in the order in which it passes. */
export const stages = ['wait', 'query', 'encode', 'produce', 'record', 'EndTxn', 'deliver'] as const

/** Milliseconds by stage; together they are the latency. */
type StageTimes = Readonly<Record<(typeof stages)[number], number>>

export interface StagedEvent {
  readonly latencyMs: number
  readonly times: StageTimes
}

/** Each event with the moments of its batch, which is found by the place of the record. */
export function stagesOf(
  written: ReadonlyMap<number, Written>,
  arrived: readonly Arrived[],
  batches: readonly Batch[],
): readonly StagedEvent[] {
  const runs = new Map<number, { readonly first: number; readonly last: number; readonly batch: Batch }[]>()
  for (const batch of batches)
    for (const { partition, first, last } of batch.placed)
      (runs.get(partition) ?? runs.set(partition, []).get(partition))?.push({ first, last, batch })
  for (const list of runs.values()) list.sort((a, b) => a.first - b.first)
  return arrived.flatMap(({ number, partition, offset, atMs }) => {
    const event = written.get(number)
    const batch = findBatch(runs.get(partition) ?? [], offset)
    if (event === undefined || batch === undefined) return []
    const times = {
      wait: batch.pollMs - event.ackedMs,
      query: batch.readMs - batch.pollMs,
      encode: batch.encodedMs - batch.readMs,
      produce: batch.producedMs - batch.encodedMs,
      record: batch.endSentMs - batch.producedMs,
      EndTxn: batch.endedMs - batch.endSentMs,
      deliver: atMs - batch.endedMs,
    }
    return [{ latencyMs: atMs - event.ackedMs, times }]
  })
}

function findBatch(
  runs: readonly { readonly first: number; readonly last: number; readonly batch: Batch }[],
  offset: number,
): Batch | undefined {
  let low = 0
  let high = runs.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const run = runs[middle]
    if (run === undefined) return undefined
    if (offset < run.first) high = middle - 1
    else if (offset > run.last) low = middle + 1
    else return run.batch
  }
  return undefined
}

export const meanOf = (events: readonly StagedEvent[], stage: (typeof stages)[number]): number =>
  mean(events.map(({ times }) => times[stage]))

/** The slowest hundredth of the events: where the tail comes from. */
export const slowest = (events: readonly StagedEvent[]): readonly StagedEvent[] =>
  events.toSorted((a, b) => b.latencyMs - a.latencyMs).slice(0, Math.max(1, Math.floor(events.length / 100)))
