import { OutboxError } from '@oncebox/core'

/** Values of options, as a person types them. */

/** @throws OutboxError CLI_USAGE */
export function whole(
  option: string,
  text: string | undefined,
  min = 0,
  max = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d{1,16}$/.test(text) && value >= min && value <= max) return value
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} on` : `${min} to ${max}`
  throw new OutboxError('CLI_USAGE', `${option} ${text}: it must be a whole number from ${range}`)
}

// A date is one of UTC, and a time of day says of which zone it is: what JavaScript makes of anything else depends on the machine.
const instant = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/

/** @throws OutboxError CLI_USAGE */
export function instantOf(option: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (instant.test(text) && !Number.isNaN(time.getTime())) return time
  throw new OutboxError(
    'CLI_USAGE',
    `${option} ${text}: it must be a date, or a time with its zone, such as 2026-11-26T08:00:00Z or 2026-11-26T08:00+01:00`,
  )
}
