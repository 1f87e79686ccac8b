import type { HeldFrame, Rule } from '@internal/proxy'

/** The frame that a rule waits for; undefined when what was to send it ends without. From then on its kind passes. */
export async function isSent(
  rule: Rule<HeldFrame>,
  sending: Promise<unknown>,
): Promise<HeldFrame | undefined> {
  const ended = sending.then(
    () => undefined,
    () => undefined,
  )
  const frame = await Promise.race([rule.fired, ended])
  rule.remove()
  return frame
}
