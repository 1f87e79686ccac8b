import { OutboxError } from '@oncebox/core'
import { isFinal, type RetryRule } from './retry-rule.js'

/** What an error in an event's transaction means for the event. */
export type FailureKind =
  /** The database asks for another run: serialization failure or deadlock. Counts as no attempt, unless it never ends. */
  | 'again'
  /** The same of a statement of ours: never an attempt. */
  | 'contended'
  /**
   * Nobody knows what was committed, or a statement of ours, or a command to Kafka or Redis, was not carried out. The position
   * is read again. Counts as no attempt.
   */
  | 'unavailable'
  /** The handler failed. */
  | 'attempt'
  /** The handler, or the retry rule, says that no attempt can help. */
  | 'permanent'
  /** There is no place for the event, or the database refuses what all events need: the consumer stops. */
  | 'stop'

/** Whether the event is left as it is: its position is read again, or the consumer stops. */
export const holdsPartition = (failure: FailureKind): boolean =>
  failure === 'unavailable' || failure === 'stop'

// The classes of SQLSTATE begin with these; EPIPE and other codes of Node do not.
const sqlStatePattern = /^[0-9FHPX][0-9A-Z]{4}$/
const serializationFailure = '40001'
const deadlockDetected = '40P01'
// Somebody made the server forget its prepared statements (DISCARD ALL): the next run sends them whole.
const statementForgotten = '26000'
// Connection exceptions, shutdown, crash recovery, idle or session time-outs, no room for connections, read-only server.
const databaseStates = /^(08|57P0|53|25006|25P03|58)/

// The handler swallowed the error of a statement, or ended the transaction itself.
const handlerCodes = [
  'OUTBOX_COMMIT_ROLLED_BACK',
  'OUTBOX_TRANSACTION_FAILED',
  'OUTBOX_TRANSACTION_ENDED',
  'OUTBOX_NOT_IN_TRANSACTION',
] as const

/** The SQLSTATE of an error or of one of its causes. */
export function sqlState(error: unknown): string | undefined {
  let current: unknown = error
  for (let depth = 0; depth < 8 && typeof current === 'object' && current !== null; depth += 1) {
    if ('code' in current && typeof current.code === 'string' && sqlStatePattern.test(current.code))
      return current.code
    current = 'cause' in current ? current.cause : undefined
  }
  return undefined
}

/** An error of the handler, on a connection that still answers. */
export function classifyHandlerError(error: unknown, rule: RetryRule): FailureKind {
  if (OutboxError.is(error, 'CONSUMER_PERMANENT') || OutboxError.is(error, 'CONSUMER_EVENT_INVALID'))
    return 'permanent'
  if (isRunAgain(error)) return 'again'
  return isFinal(error, rule) ? 'permanent' : 'attempt'
}

/** An error of BEGIN or a statement of ours. Whatever it is, the handler is not to blame, unless it broke its transaction. */
export function classifyOwnError(error: unknown): FailureKind {
  if (OutboxError.is(error, 'CONSUMER_DATABASE_REFUSED')) return 'stop'
  if (OutboxError.is(error, 'CONSUMER_EVENT_TOO_OLD')) return 'permanent'
  if (isHandlers(error)) return 'attempt'
  return isRunAgain(error) ? 'contended' : 'unavailable'
}

/** An error of COMMIT: deferred constraints are checked there. Without a SQLSTATE nobody knows: look again. */
export function classifyCommitError(error: unknown): FailureKind {
  if (isHandlers(error)) return 'attempt'
  if (isRunAgain(error)) return 'again'
  const state = sqlState(error)
  return state === undefined || databaseStates.test(state) ? 'unavailable' : 'attempt'
}

const isHandlers = (error: unknown): boolean => handlerCodes.some((code) => OutboxError.is(error, code))

function isRunAgain(error: unknown): boolean {
  const state = sqlState(error)
  return state === serializationFailure || state === deadlockDetected || state === statementForgotten
}
