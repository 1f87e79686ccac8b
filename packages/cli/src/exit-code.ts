import { OutboxError } from '@oncebox/core'

/** Exit codes of every command. */
export const exitCodes = {
  done: 0,
  /** A promise or a check failed. */
  failed: 1,
  wrongUse: 2,
  /** PostgreSQL or Kafka cannot be reached. */
  unavailable: 3,
} as const

const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'ECONNRESET',
  'EHOSTUNREACH',
  '57P03',
  '53300',
])

// The driver of PostgreSQL has no code for these.
const lost = /^(Connection terminated|timeout expired|timeout exceeded when trying to connect)/

/** A service that is not there, or does not answer. */
export function isUnreachable(error: unknown): boolean {
  if (OutboxError.is(error)) return error.retriable
  if (!(error instanceof Error)) return false
  return unreachable.has('code' in error ? String(error.code) : '') || lost.test(error.message)
}

export function exitCodeOf(error: unknown): number {
  if (OutboxError.is(error) && (error.code.startsWith('CLI_') || error.code.endsWith('_OPTIONS_INVALID')))
    return exitCodes.wrongUse
  return isUnreachable(error) ? exitCodes.unavailable : exitCodes.failed
}
