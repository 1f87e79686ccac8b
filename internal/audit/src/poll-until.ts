import { setTimeout as sleep } from 'node:timers/promises'
import { AuditError } from './audit-error.js'

const everyMs = 100

/**
 * Asks again and again until the answer is yes: Kafka tells nobody when an offset moves. Ends with `signal`. A question
 * that fails is asked again (a coordinator that still loads its groups); its error is the cause of the final one.
 */
export async function pollUntil(
  complaint: string,
  signal: AbortSignal,
  ask: () => Promise<boolean>,
): Promise<void> {
  let failure: unknown
  for (;;) {
    try {
      if (await ask()) return
    } catch (error) {
      failure = error
    }
    try {
      await sleep(everyMs, undefined, { signal })
    } catch (aborted) {
      throw new AuditError(complaint, { cause: failure ?? aborted })
    }
  }
}
