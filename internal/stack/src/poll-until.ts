/** Bounded patience with what a server tells nobody: asks again and again until the answer is yes. */
import { setTimeout } from 'node:timers/promises'

const triesMax = 1_200 // half a minute and more: a machine under load is slow
const tryMs = 25

/** Resolves when `ask` resolves with true; an error of it counts as no. */
export const pollUntil = async (what: string, ask: () => Promise<boolean>): Promise<void> => {
  let cause: unknown
  for (let attempt = 0; attempt < triesMax; attempt += 1) {
    try {
      if (await ask()) return
    } catch (error) {
      cause = error
    }
    await setTimeout(tryMs)
  }
  throw new Error(`${what}: not so after ${triesMax} tries`, { cause })
}
