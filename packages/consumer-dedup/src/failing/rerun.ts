import { delay, nextDelayMs, type Backoff } from '@oncebox/core'
import type { BatchOutcome, EffectOutcome } from '../modes/partition-effects.js'
import type { FailureKind } from './failure.js'

const rerunsMax = 30
const waits: Backoff = { minMs: 5, maxMs: 1_000 }

/** What it is when the database asks for another run again and again. */
const inTheEnd: Partial<Record<FailureKind, FailureKind>> = { again: 'attempt', contended: 'unavailable' }

/**
 * Runs a transaction again while the database asks for it. Never throws. The outcome asks for no other run unless the signal
 * was aborted meanwhile.
 */
export async function rerun<Outcome extends EffectOutcome | BatchOutcome>(
  signal: AbortSignal,
  transaction: () => Promise<Outcome>,
  backoff = waits,
): Promise<Outcome | Extract<EffectOutcome, { kind: 'failed' }>> {
  for (let reruns = 0; ; reruns += 1) {
    const outcome = await transaction()
    if (outcome.kind !== 'failed') return outcome
    const failure = inTheEnd[outcome.failure]
    if (failure === undefined) return outcome
    if (reruns >= rerunsMax) return { ...outcome, failure }
    await delay(nextDelayMs(backoff, reruns + 1), signal).catch(() => undefined)
    if (signal.aborted) return outcome
  }
}
