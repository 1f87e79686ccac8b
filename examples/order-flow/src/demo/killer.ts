/** Kills processes at random moments while there is traffic. */
import { delay } from '@oncebox/core'
import type { Child } from './child.js'
import type { Random } from './random.js'

export interface Kill {
  /** The part of all work, 0 to 1, after which it strikes. */
  readonly after: number
  /** It does not wait longer than this for that part: some kills hit a flow that is still getting over the last one. */
  readonly waitMsMax: number
  /** And so many milliseconds later, so that no kill is in step with the measuring of progress. */
  readonly delayMs: number
  readonly victim: number
}

// The last kills must still find traffic.
const lastAfter = 0.9
const delayMsMax = 400
const waitMs = { min: 2_000, max: 5_000 }

/** Spreads the kills over the work, one in each part of it. Everybody is a victim once before anybody is one twice. */
export function drawKills(count: number, victims: number, random: Random): Kill[] {
  const rounds = Array.from({ length: Math.ceil(count / victims) }, () =>
    random.shuffled(Array.from({ length: victims }, (_, victim) => victim)),
  )
  return rounds
    .flat()
    .slice(0, count)
    .map((victim, number) => ({
      after: ((number + random.next()) / count) * lastAfter,
      waitMsMax: waitMs.min + random.below(waitMs.max - waitMs.min),
      delayMs: random.below(delayMsMax),
      victim,
    }))
}

export interface Progress {
  /** Resolves when so much of the work is done. */
  reached(part: number, signal: AbortSignal): Promise<void>
}

async function reachedOrLate(
  progress: Progress,
  after: number,
  waitMsMax: number,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const until = AbortSignal.any([signal, over.signal])
  const waits = [progress.reached(after, until), delay(waitMsMax, until)]
  try {
    await Promise.race(waits)
  } finally {
    over.abort()
    await Promise.allSettled(waits)
  }
}

/** Strikes one kill after the other. Ends with the last, or with `signal`. */
export async function killAlong(
  kills: readonly Kill[],
  children: readonly Child[],
  progress: Progress,
  signal: AbortSignal,
  onKill: (name: string) => void,
): Promise<void> {
  for (const { after, waitMsMax, delayMs, victim } of kills) {
    await reachedOrLate(progress, after, waitMsMax, signal)
    await delay(delayMs, signal)
    const child = children[victim]
    if (child === undefined) continue
    await child.kill(signal)
    onKill(child.program.name)
  }
}
