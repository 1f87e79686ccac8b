import type { Case } from './case.js'
import { Stage, type StageOptions } from './stage.js'
import { verdictOf, type Verdict } from './verdict.js'

const withinMs = 180_000

/** Plays one case with one client: a verdict in bounded time, whatever happens. */
export async function play(played: Case, options: StageOptions): Promise<Verdict> {
  const limitMs = played.withinMs ?? withinMs
  const limit = AbortSignal.timeout(limitMs)
  const signal = AbortSignal.any([options.signal, limit])
  await using stage = new Stage({ ...options, signal })
  try {
    const sentence = await Promise.race([played.run(stage), whenAborted(signal)])
    return sentence === undefined ? { kind: 'pass' } : { kind: 'pass', sentence }
  } catch (error) {
    options.signal.throwIfAborted()
    // Each step of a client is bounded by itself, so it was not the client that did not come to an end.
    return verdictOf(limit.aborted ? new Error(`not at its end after ${limitMs / 1_000} s`) : error)
  }
}

const whenAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
