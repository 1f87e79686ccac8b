import { OutboxError } from '@oncebox/core'

/** Why a position has to be read again. An error that says it already stays what it is. */
export function inDoubt(cause: unknown): OutboxError {
  if (OutboxError.is(cause) && namesItself.test(cause.code)) return cause
  return new OutboxError(
    'CONSUMER_DATABASE_UNAVAILABLE',
    'the database did not answer, or nobody knows what it has committed',
    { cause },
  )
}

/** Ours, unless it is the outbox's of a lost connection. */
const namesItself = /^(CONSUMER|KAFKA)_/

/** @throws OutboxError CONSUMER_DATABASE_UNAVAILABLE */
export async function orInDoubt<Result>(statement: Promise<Result>): Promise<Result> {
  try {
    return await statement
  } catch (error) {
    throw inDoubt(error)
  }
}
