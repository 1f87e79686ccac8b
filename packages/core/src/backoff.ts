import { setTimeout as sleep } from 'node:timers/promises'

/** How waits between attempts grow: `minMs`, doubled each time up to `maxMs`, each drawn from the upper half of its range. */
export interface Backoff {
  readonly minMs: number
  readonly maxMs: number
}

/**
 * The wait before attempt `attempt` + 1, in milliseconds; half of it is jitter, so that many waiters spread out.
 * @param attempt Failed attempts so far, from 1.
 */
export function nextDelayMs(
  { minMs, maxMs }: Backoff,
  attempt: number,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt - 1, 30))
  return ceiling / 2 + (ceiling / 2) * random()
}

/** Waits, or rejects with the signal's reason. A wait of 0 or less resolves at once. */
export async function delay(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  if (ms > 0) await sleep(ms, undefined, signal === undefined ? {} : { signal })
}
