import { OutboxError } from '@oncebox/core'

/** `error`: a promise does not hold, or will not after one failure. `warning`: worth a look. */
export type FindingLevel = 'ok' | 'warning' | 'error'

/** What was looked at, and what was found. */
export interface Finding {
  /** Stable, for scripts: `database.privileges`, `topic.replication`. */
  readonly check: string
  readonly level: FindingLevel
  readonly message: string
  /** The SQL, command or setting that mends it. */
  readonly fix?: string
}

export const ok = (check: string, message: string): Finding => ({ check, level: 'ok', message })

export const warning = (check: string, message: string, fix?: string): Finding => ({
  check,
  level: 'warning',
  message,
  ...(fix !== undefined && { fix }),
})

export const failure = (check: string, message: string, fix?: string): Finding => ({
  check,
  level: 'error',
  message,
  ...(fix !== undefined && { fix }),
})

/** What stood in the way of a look is a finding, too. */
export function failureOf(check: string, error: unknown): Finding {
  const message = error instanceof Error ? error.message : String(error)
  return OutboxError.is(error)
    ? failure(check, `${message} (${error.code})`, error.remedy)
    : failure(check, message)
}
