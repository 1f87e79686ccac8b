import { invalid, within } from '../option-checks.js'
import type { ParkKeyOptions } from './park-key.js'

/** Checked, with defaults. */
export interface ResolvedParking {
  readonly delaysMs: readonly number[]
  readonly attemptsMax: number
  readonly jitter: number
  readonly concurrency: number
  readonly keysMax: number
  readonly eventsMax: number
}

/** @throws OutboxError CONSUMER_OPTIONS_INVALID */
export function resolveParking({ delaysMs, ...parking }: ParkKeyOptions): ResolvedParking {
  if (delaysMs.length === 0) throw invalid('delaysMs of parkKey is empty')
  const jitter = parking.jitter ?? 0.2
  if (!(jitter >= 0 && jitter <= 1)) throw invalid(`jitter of parkKey is ${jitter}: from 0 to 1`)
  return {
    delaysMs: delaysMs.map((delayMs) => within('delaysMs of parkKey', delayMs, 0, 0, 604_800_000)),
    attemptsMax: within('attemptsMax of parkKey', parking.attemptsMax, delaysMs.length, 1, 1_000),
    jitter,
    concurrency: within('concurrency of parkKey', parking.concurrency, 4, 1, 256),
    keysMax: within('keysMax of parkKey', parking.keysMax, 10_000, 1, 1_000_000),
    eventsMax: within('eventsMax of parkKey', parking.eventsMax, 100_000, 1, 10_000_000),
  }
}
