import { delay, nextDelayMs } from '@oncebox/core'
import { rerunBackoff, rerunsMax } from './again.js'
import type { EffectOutcome } from '../modes/partition-effects.js'

/**
 * Runs a transaction of ours again while the database asks for it. Never throws. What cannot be done fails with the kind
 * `unavailable`: it holds its partition, and is never skipped.
 */
export async function rerun(
  signal: AbortSignal,
  transaction: () => Promise<EffectOutcome>,
): Promise<EffectOutcome> {
  for (let reruns = 0; ; reruns += 1) {
    const outcome = await transaction()
    if (outcome.kind !== 'failed') return outcome
    if (outcome.failure !== 'again' || reruns >= rerunsMax || signal.aborted)
      return { ...outcome, failure: 'unavailable' }
    await delay(nextDelayMs(rerunBackoff, reruns + 1), signal).catch(() => undefined)
  }
}
