import { invariant, nextDelayMs, OutboxError, type ErrorCode } from '@oncebox/core'
import type { BrokerConnections } from '../broker-connections.js'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import { KafkaFailure, type TransactionOutcome } from '../kafka-failure.js'
import { endTxn } from '../protocol/end-txn.js'
import {
  authorizationFailed,
  coordinatorNotReady,
  describeCode,
  errorCode,
  fencing,
} from '../protocol/error-codes.js'
import { initProducerId } from '../protocol/init-producer-id.js'
import type { BrokerAddress } from '../options.js'

// The markers of the last transaction are written within milliseconds: Java waits 20 ms here, too.
const retry = { minMs: 2, maxMs: 20 }

/** One transactional id, held: its producer id, its epoch, and the coordinator that knows them. */
export class Producer {
  readonly transactionalId: string
  #producerId = -1n
  #producerEpoch = -1
  #coordinator: BrokerAddress | undefined
  readonly #cluster: Cluster
  readonly #connections: BrokerConnections

  constructor(transactionalId: string, cluster: Cluster, connections: BrokerConnections) {
    this.transactionalId = transactionalId
    this.#cluster = cluster
    this.#connections = connections
  }

  get producerId(): bigint {
    return this.#producerId
  }

  get producerEpoch(): number {
    return this.#producerEpoch
  }

  /**
   * Takes the id over: fences whoever held it and ends the transaction that was open. Repeated until it succeeds or
   * the deadline comes; repeating is safe, as each answer only raises the epoch.
   *
   * @throws KafkaFailure KAFKA_AUTHORIZATION_FAILED, KAFKA_OPTIONS_INVALID, KAFKA_UNAVAILABLE
   */
  async initialise(transactionTimeoutMs: number, deadline: Deadline): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const code = await this.#initialiseOnce(transactionTimeoutMs, deadline)
      if (code === errorCode.NONE) return
      if (code !== undefined && !coordinatorNotReady.has(code)) throw this.#initialiseRefused(code)
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  /**
   * Commits or aborts, and takes over the producer id and epoch for the next transaction. Refusals that only say "not
   * yet" or "not here" are repeated: under transactions v2 an EndTxn is idempotent within its epoch.
   *
   * @param onSent Awaited when the bytes of the first attempt are with the socket.
   * @throws KafkaFailure whose outcome tells what became of a commit
   */
  async endTransaction(
    committed: boolean,
    deadline: Deadline,
    onSent?: () => void | Promise<void>,
  ): Promise<void> {
    // True once some attempt may have been carried out although no answer says so. A clear refusal leaves no doubt.
    let doubtful = false
    let announced = false
    for (let attempt = 1; ; attempt++) {
      let code: number
      let sending = false
      let unanswered = false
      try {
        const connection = await this.#connections.to(await this.#findCoordinator(deadline), deadline)
        sending = true
        const { answer } = await deadline.race(
          connection.send(endTxn, {
            transactionalId: this.transactionalId,
            producerId: this.#producerId,
            producerEpoch: this.#producerEpoch,
            committed,
          }),
        )
        unanswered = true
        if (!announced) {
          announced = true
          await onSent?.()
        }
        const ended = await deadline.race(answer)
        code = ended.errorCode
        if (code === errorCode.NONE) {
          this.#producerId = ended.producerId
          this.#producerEpoch = ended.producerEpoch
          return
        }
        unanswered = false
        doubtful ||= mayHaveEnded.has(code)
      } catch (error) {
        // A request that throttling still holds back at the deadline may go out afterwards.
        doubtful ||= unanswered || (sending && deadline.expired)
        if (unanswered || deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE'))
          throw this.#endFailed(committed, doubtful, error)
        // Not sent: the coordinator is unreachable, perhaps it moved.
        code = errorCode.NOT_COORDINATOR
      }
      if (!coordinatorNotReady.has(code)) throw this.#endRefused(committed, doubtful, code)
      if (code !== errorCode.CONCURRENT_TRANSACTIONS) this.#coordinator = undefined
      await deadline.delay(nextDelayMs(retry, attempt)).catch((error: unknown) => {
        throw this.#endFailed(committed, doubtful, error)
      })
    }
  }

  async #initialiseOnce(transactionTimeoutMs: number, deadline: Deadline): Promise<number | undefined> {
    try {
      const connection = await this.#connections.to(await this.#findCoordinator(deadline), deadline)
      const request = { transactionalId: this.transactionalId, transactionTimeoutMs }
      const answer = await deadline.race(connection.call(initProducerId, request))
      if (answer.errorCode === errorCode.NONE) {
        this.#producerId = answer.producerId
        this.#producerEpoch = answer.producerEpoch
      } else if (answer.errorCode !== errorCode.CONCURRENT_TRANSACTIONS) {
        this.#coordinator = undefined
      }
      return answer.errorCode
    } catch (error) {
      if (deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE')) throw error
      this.#coordinator = undefined
      return undefined
    }
  }

  async #findCoordinator(deadline: Deadline): Promise<BrokerAddress> {
    this.#coordinator ??= await this.#cluster.coordinator(this.transactionalId, deadline)
    return this.#coordinator
  }

  #initialiseRefused(code: number): KafkaFailure {
    const message = `initialising ${this.transactionalId}: ${describeCode(code)}`
    const details = { transactionalId: this.transactionalId, code }
    if (fencing.has(code)) return new KafkaFailure('KAFKA_FENCED', 'fenced', message, { details })
    return new KafkaFailure(initialiseErrorCode(code), 'not-committed', message, { details })
  }

  #endRefused(committed: boolean, doubtful: boolean, code: number): KafkaFailure {
    const message = `${this.#endName(committed)}: ${describeCode(code)}`
    const details = { ...this.#details, code }
    if (committed && doubtful)
      return new KafkaFailure('KAFKA_TRANSACTION_UNKNOWN', 'unknown', message, { details })
    if (fencing.has(code)) return new KafkaFailure('KAFKA_FENCED', 'fenced', message, { details })
    if (authorizationFailed.has(code)) {
      return new KafkaFailure('KAFKA_AUTHORIZATION_FAILED', 'not-committed', message, { details })
    }
    return new KafkaFailure('KAFKA_TRANSACTION_NOT_COMMITTED', 'not-committed', message, { details })
  }

  #endFailed(committed: boolean, doubtful: boolean, cause: unknown): KafkaFailure {
    const outcome: TransactionOutcome = committed && doubtful ? 'unknown' : 'not-committed'
    const code: ErrorCode =
      outcome === 'unknown' ? 'KAFKA_TRANSACTION_UNKNOWN' : 'KAFKA_TRANSACTION_NOT_COMMITTED'
    const reason = cause instanceof Error ? cause.message : String(cause)
    return new KafkaFailure(code, outcome, `${this.#endName(committed)}: ${reason}`, {
      cause,
      details: this.#details,
    })
  }

  #endName(committed: boolean): string {
    return `${committed ? 'committing' : 'aborting'} a transaction of ${this.transactionalId}`
  }

  get #details(): { transactionalId: string; producerId: string; producerEpoch: number } {
    invariant(this.#producerEpoch >= 0, `${this.transactionalId} is initialised before it is used`)
    return {
      transactionalId: this.transactionalId,
      producerId: String(this.#producerId),
      producerEpoch: this.#producerEpoch,
    }
  }
}

// The coordinator writes PrepareCommit to its log and answers one of these when it cannot tell whether that will last:
// TransactionStateManager.appendTransactionToLog turns replication timeouts into 15, a lost leadership into 16.
const mayHaveEnded: ReadonlySet<number> = new Set([
  errorCode.COORDINATOR_NOT_AVAILABLE,
  errorCode.NOT_COORDINATOR,
  errorCode.REQUEST_TIMED_OUT,
  errorCode.UNKNOWN_SERVER_ERROR,
  errorCode.TRANSACTION_COORDINATOR_FENCED,
])

function initialiseErrorCode(code: number): ErrorCode {
  if (authorizationFailed.has(code)) return 'KAFKA_AUTHORIZATION_FAILED'
  if (code === errorCode.INVALID_TRANSACTION_TIMEOUT) return 'KAFKA_OPTIONS_INVALID'
  return 'KAFKA_TRANSACTION_NOT_COMMITTED'
}
