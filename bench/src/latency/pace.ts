import type { Emission, Written } from './messages.js'
import { nowMs } from './clock.js'

/**
 * Sends events at their times, whatever became of those before: an open loop, so that a slow answer cannot lower the load
 * that causes it. Resolves when all are answered.
 * @param send Resolves when the event is acknowledged.
 */
export async function pace(
  { from, events, perSecond }: Emission,
  send: (number: number) => Promise<void>,
): Promise<readonly Written[]> {
  const startMs = nowMs()
  const written: Promise<Written>[] = []
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const due = Math.min(events, Math.floor(((nowMs() - startMs) / 1000) * perSecond))
      while (written.length < due) written.push(timed(from + written.length, send))
      if (due < events) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  return await Promise.all(written)
}

async function timed(number: number, send: (number: number) => Promise<void>): Promise<Written> {
  const sentMs = nowMs()
  await send(number)
  return { number, sentMs, ackedMs: nowMs() }
}
