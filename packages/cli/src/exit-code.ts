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

export function exitCodeOf(error: unknown): number {
  if (OutboxError.is(error)) {
    if (error.code.startsWith('CLI_') || error.code.endsWith('_OPTIONS_INVALID')) return exitCodes.wrongUse
    return error.retriable ? exitCodes.unavailable : exitCodes.failed
  }
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return unreachable.has(code) ? exitCodes.unavailable : exitCodes.failed
}
