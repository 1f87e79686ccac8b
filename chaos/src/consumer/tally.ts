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

/** What a life may lose of a partition: one batch when it is killed, one when it has stood still past its session. */
const stretchesOfLife = 2

export function tally(mode: ModeUnderTest, runs: readonly SeedRun[]): Tally {
  const counts = runs.map((run) => ({
    ...countsOf(run),
    stretches: lostStretches(run),
    lives: run.kills.length + 1,
    seed: run.seed,
  }))
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
        ({ lost, doubled, reordered, phantom, stretches, lives }) =>
          phantom > 0 ||
          reordered > 0 ||
          (lost > 0 && !mode.mayLose) ||
          stretches > lives * stretchesOfLife ||
          (doubled > 0 && !mode.mayDouble),
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

/** Of the key that has lost the most: how many stretches of its events have no effect. */
function lostStretches({ sent, effects }: SeedRun): number {
  const seen = new Set(effects.map(({ id }) => id))
  const isLost = new Map<string, boolean>()
  const stretches = new Map<string, number>()
  for (const { id, key } of sent) {
    const lost = !seen.has(id)
    if (lost && isLost.get(key) !== true) stretches.set(key, (stretches.get(key) ?? 0) + 1)
    isLost.set(key, lost)
  }
  return Math.max(0, ...stretches.values())
}
