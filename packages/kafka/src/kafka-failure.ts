import { OutboxError, type ErrorCode, type OutboxErrorOptions } from '@oncebox/core'
import { failureClassOf, type FailureClass } from './protocol/failure-class.js'

/**
 * What became of the transaction. `not-committed`: nothing of it is visible, now or later. `unknown`: EndTxn(commit)
 * was on its way and the answer is missing; read the position back from Kafka. `fenced`: not committed, and the
 * transactional id belongs to another session.
 */
export type TransactionOutcome = 'not-committed' | 'unknown' | 'fenced'

/** What to do about it, after KIP-1050. Retriable errors are repeated inside the session and escape as `abortable`. */
export type KafkaFailureClass = Exclude<FailureClass, 'retriable' | 'refresh-retriable'>

/** Every failure of `publish` and `openSession`: an OutboxError that also says what became of the transaction. */
export class KafkaFailure extends OutboxError {
  readonly outcome: TransactionOutcome
  readonly failureClass: KafkaFailureClass

  /** @param options.details A broker's error code stands there as `code`, and decides the class. */
  constructor(
    code: ErrorCode,
    outcome: TransactionOutcome,
    message: string,
    options: OutboxErrorOptions = {},
  ) {
    super(code, message, options)
    this.outcome = outcome
    const brokerCode = options.details?.['code']
    this.failureClass = classOf(code, typeof brokerCode === 'number' ? brokerCode : undefined)
  }
}

/** Any error as a KafkaFailure: one that already is keeps its outcome, an OutboxError keeps its code. */
export function toKafkaFailure(
  error: unknown,
  code: ErrorCode,
  outcome: TransactionOutcome,
  what: string,
): KafkaFailure {
  if (error instanceof KafkaFailure) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new KafkaFailure(code, outcome, `${what}: ${reason}`, {
    cause: error,
    ...(OutboxError.is(error) ? { details: error.details } : {}),
  })
}

function classOf(code: ErrorCode, brokerCode: number | undefined): KafkaFailureClass {
  const byCode = classOfOurs.get(code) ?? 'fatal'
  // A code of ours that says more than "not committed" was chosen with the broker's code in view.
  if (brokerCode === undefined || code !== 'KAFKA_TRANSACTION_NOT_COMMITTED') return byCode
  const byBroker = failureClassOf(brokerCode)
  return byBroker === 'retriable' || byBroker === 'refresh-retriable' ? 'abortable' : byBroker
}

const classOfOurs: ReadonlyMap<ErrorCode, KafkaFailureClass> = new Map([
  ['KAFKA_UNAVAILABLE', 'abortable'],
  ['KAFKA_TOPIC_UNAVAILABLE', 'abortable'],
  ['KAFKA_TRANSACTION_NOT_COMMITTED', 'abortable'],
  ['KAFKA_TRANSACTION_TIMED_OUT', 'application-recoverable'],
  ['KAFKA_TRANSACTION_UNKNOWN', 'application-recoverable'],
  ['KAFKA_TRANSACTION_TORN', 'application-recoverable'],
  ['KAFKA_FENCED', 'application-recoverable'],
  ['KAFKA_GROUP_FENCED', 'application-recoverable'],
  ['KAFKA_SESSION_CLOSED', 'application-recoverable'],
  ['KAFKA_PROGRESS_BLOCKED', 'application-recoverable'],
  ['KAFKA_OPTIONS_INVALID', 'invalid-configuration'],
  ['KAFKA_UNSUPPORTED', 'invalid-configuration'],
  ['KAFKA_TLS_FAILED', 'invalid-configuration'],
  ['KAFKA_AUTHENTICATION_FAILED', 'invalid-configuration'],
  ['KAFKA_AUTHORIZATION_FAILED', 'invalid-configuration'],
  ['KAFKA_PROGRESS_TOPIC_INVALID', 'invalid-configuration'],
  ['KAFKA_RECORD_TOO_LARGE', 'invalid-configuration'],
  ['KAFKA_RECORD_REFUSED', 'invalid-configuration'],
])
