import type { ModeUnderTest } from '@internal/contracts/consumers'
import type { SeedRun } from './run-seed.js'

/** What became of the events of one mode. */
export interface Tally {
  readonly mode: string
  readonly seeds: number
  readonly kills: number
  readonly events: number
  readonly lost: number
  /** Effects beyond the first of an event. */
  readonly doubled: number
  /** First effects behind one of a later event of the same key. */
  readonly reordered: number
  /** Effects of events that nobody published. */
  readonly phantom: number
  /** Seeds that broke the promise: what a mode may do is no break. */
  readonly broken: readonly number[]
}

export function tally(mode: ModeUnderTest, runs: readonly SeedRun[]): Tally {
  const counts = runs.map((run) => ({ ...countsOf(run), seed: run.seed }))
  const sum = (pick: (one: (typeof counts)[number]) => number): number =>
    counts.reduce((total, one) => total + pick(one), 0)
  return {
    mode: mode.name,
    seeds: runs.length,
    kills: runs.reduce((total, { kills }) => total + kills.length, 0),
    events: runs.reduce((total, { sent }) => total + sent.length, 0),
    lost: sum(({ lost }) => lost),
    doubled: sum(({ doubled }) => doubled),
    reordered: sum(({ reordered }) => reordered),
    phantom: sum(({ phantom }) => phantom),
    broken: counts
      .filter(
        ({ lost, doubled, reordered, phantom }) =>
          phantom > 0 || reordered > 0 || (lost > 0 && !mode.mayLose) || (doubled > 0 && !mode.mayDouble),
      )
      .map(({ seed }) => seed),
  }
}

function countsOf({ sent, effects }: SeedRun): Pick<Tally, 'lost' | 'doubled' | 'reordered' | 'phantom'> {
  const known = new Set(sent.map(({ id }) => id))
  const seen = new Set<string>()
  const newest = new Map<string, number>()
  let [doubled, reordered, phantom] = [0, 0, 0]
  for (const { id, key, value } of effects) {
    if (!known.has(id)) phantom += 1
    else if (seen.has(id)) doubled += 1
    else {
      seen.add(id)
      if (value < (newest.get(key) ?? -1)) reordered += 1
      newest.set(key, Math.max(value, newest.get(key) ?? -1))
    }
  }
  return { lost: known.size - seen.size, doubled, reordered, phantom }
}
