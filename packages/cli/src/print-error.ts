import { OutboxError } from '@oncebox/core'
import { isUnreachable } from './exit-code.js'

/** One line for what happened, one for the next step; a list of causes; never a stack trace, which is for the log. */
export function printError(error: unknown, json: boolean): void {
  if (json) {
    process.stderr.write(
      `${JSON.stringify({ error: describe(error), causes: causesOf(error), ...(OutboxError.is(error) ? { code: error.code, remedy: error.remedy, details: error.details } : {}) })}\n`,
    )
    return
  }
  const code = OutboxError.is(error) ? ` (${error.code})` : ''
  process.stderr.write(`oncebox: ${describe(error)}${code}\n`)
  for (const cause of causesOf(error)) process.stderr.write(`  because: ${cause}\n`)
  const remedy = remedyOf(error)
  if (remedy !== undefined) process.stderr.write(`  what to do: ${remedy}\n`)
}

function describe(error: unknown): string {
  // A refused connection to a name with several addresses is an AggregateError with an empty message.
  if (error instanceof AggregateError && error.message === '') return error.errors.map(describe).join('; ')
  return error instanceof Error ? error.message : String(error)
}

function causesOf(error: unknown): string[] {
  const causes: string[] = []
  let cause = error instanceof Error ? error.cause : undefined
  while (cause !== undefined && causes.length < 5) {
    causes.push(describe(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return causes
}

function remedyOf(error: unknown): string | undefined {
  if (OutboxError.is(error)) return error.remedy
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  if (code === 'EADDRINUSE') return 'set ONCEBOX_HTTP_PORT to another port, to 0 for a free one, or to off'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'check the host name'
  if (isUnreachable(error)) return 'check host and port, and that the server runs'
  if (code === '28P01' || code === '28000') return 'check user and password'
  if (code === '3D000') return 'create the database, or correct its name in the connection string'
  if (code === '42501')
    return 'grant the missing privilege: see outbox.grant_relay(role) and outbox.grant_writer(role)'
  return undefined
}
