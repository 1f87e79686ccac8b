import type { ResolvedParking } from './resolved-parking.js'

/** How long a key waits after `retries` failed runs from its queue. A part of it is drawn by lot. */
export function delayOf(
  parking: Pick<ResolvedParking, 'delaysMs' | 'jitter'> | undefined,
  retries: number,
  random: () => number = Math.random,
): number {
  if (parking === undefined) return 0
  const delayMs = parking.delaysMs[Math.min(retries, parking.delaysMs.length - 1)] ?? 0
  return delayMs * (1 - parking.jitter * random())
}
