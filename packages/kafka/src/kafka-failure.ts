import { OutboxError, type ErrorCode, type OutboxErrorOptions } from '@oncebox/core'

/**
 * What became of the transaction. `not-committed`: nothing of it is visible, now or later. `unknown`: EndTxn(commit)
 * was on its way and the answer is missing; read the position back from Kafka. `fenced`: not committed, and the
 * transactional id is no longer ours (or the transaction outlived its timeout, which the broker reports alike).
 */
export type TransactionOutcome = 'not-committed' | 'unknown' | 'fenced'

/** Every failure of `publish` and `openSession`: an OutboxError that also says what became of the transaction. */
export class KafkaFailure extends OutboxError {
  readonly outcome: TransactionOutcome

  constructor(
    code: ErrorCode,
    outcome: TransactionOutcome,
    message: string,
    options: OutboxErrorOptions = {},
  ) {
    super(code, message, options)
    this.outcome = outcome
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
