import { invariant, nextDelayMs, OutboxError, type ErrorCode } from '@oncebox/core'
import type { BrokerConnections } from '../broker-connections.js'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import { KafkaFailure, type TransactionOutcome } from '../kafka-failure.js'
import type { BrokerAddress } from '../options.js'
import { addOffsetsToTxn } from '../protocol/add-offsets-to-txn.js'
import { addPartitionsToTxn, type AddPartitionsToTxnAnswer } from '../protocol/add-partitions-to-txn.js'
import type { Api } from '../protocol/api.js'
import { describeTransactions } from '../protocol/describe-transactions.js'
import { denialOf, type Denial } from '../protocol/denial.js'
import { endTxn } from '../protocol/end-txn.js'
import { coordinatorNotReady, describeCode, errorCode, fencing } from '../protocol/error-codes.js'
import { initProducerId } from '../protocol/init-producer-id.js'
import type { TransactionVersion } from '../protocol/transaction-version.js'

// The markers of the last transaction are written within milliseconds: Java waits 20 ms here, too.
const retry = { minMs: 2, maxMs: 20 }

export interface ProducerOptions {
  readonly cluster: Cluster
  /** To the coordinators. */
  readonly connections: BrokerConnections
  readonly transactionTimeoutMs: number
}

/** One transactional id, held: its producer id, its epoch, and the coordinator that knows them. */
export class Producer {
  readonly transactionalId: string
  readonly #options: ProducerOptions
  #producerId = -1n
  #producerEpoch = -1
  /** No transaction has used this epoch yet. */
  #isFresh = false
  #version: TransactionVersion = 2
  /** The coordinator knows of the transaction in hand, or may: with version 2 it hears of it from the partitions' leaders. */
  #isOngoing = false
  #begunAtMs = 0
  #coordinator: BrokerAddress | undefined

  constructor(transactionalId: string, options: ProducerOptions) {
    this.transactionalId = transactionalId
    this.#options = options
  }

  get producerId(): bigint {
    return this.#producerId
  }

  get producerEpoch(): number {
    return this.#producerEpoch
  }

  /** The protocol of the transaction in hand. */
  get transactionVersion(): TransactionVersion {
    return this.#version
  }

  /**
   * Takes the id over: fences whoever held it and ends the transaction that was open. Repeated until it succeeds or
   * the deadline comes; repeating is safe, as each answer only raises the epoch.
   *
   * @throws KafkaFailure KAFKA_AUTHORIZATION_FAILED, KAFKA_OPTIONS_INVALID, KAFKA_UNAVAILABLE
   */
  async initialise(deadline: Deadline): Promise<void> {
    await this.#raiseEpoch(undefined, deadline)
  }

  /**
   * Begins a transaction, under an epoch that no other one has used. EndTxn has raised it under version 2. Under
   * version 1 it is raised here, so that nothing late of the last transaction can reach this one (KAFKA-17754: an
   * acknowledged transaction lost half of its records); with the epoch that is held, so that a zombie is refused
   * instead of taking the id back.
   *
   * @throws KafkaFailure KAFKA_FENCED, KAFKA_TRANSACTION_NOT_COMMITTED, KAFKA_UNAVAILABLE
   */
  async begin(version: TransactionVersion, deadline: Deadline): Promise<void> {
    if (!this.#isFresh) await this.#raiseEpoch(this.#held, deadline)
    this.#isFresh = false
    this.#version = version
    this.#isOngoing = version === 2
    this.#begunAtMs = performance.now()
  }

  /**
   * Whether the coordinator has ended the transaction in hand by itself, and nobody else has the id: asked after it was
   * refused, as brokers answer a timeout and a takeover alike. Asking changes nothing. A rival whose takeover is half
   * done looks like a timeout for a moment.
   */
  async hasTimedOut(deadline: Deadline): Promise<boolean> {
    if (performance.now() - this.#begunAtMs < this.#options.transactionTimeoutMs) return false
    const request = { transactionalId: this.transactionalId }
    const connection = await this.#connect(deadline)
    const found = await deadline.race(connection.call(describeTransactions, request))
    // A timeout raises the epoch once, to fence us, and ends with the abort; a takeover ends with an empty transaction.
    return (
      found.producerId === this.#producerId &&
      found.producerEpoch <= this.#producerEpoch + 1 &&
      (found.state === 'PrepareAbort' || found.state === 'CompleteAbort')
    )
  }

  /** Version 1: tells the coordinator which partitions the transaction is about to write to. The codes are the caller's. */
  async addPartitions(
    topics: readonly { readonly name: string; readonly partitions: readonly number[] }[],
    deadline: Deadline,
  ): Promise<AddPartitionsToTxnAnswer['partitions']> {
    const { partitions } = await this.#untilReady(
      addPartitionsToTxn,
      () => ({ transactionalId: this.transactionalId, ...this.#held, topics }),
      ({ partitions: results }) =>
        results.find(({ errorCode: code }) => coordinatorNotReady.has(code))?.errorCode,
      deadline,
    )
    if (partitions.every(({ errorCode: code }) => code === errorCode.NONE)) this.#isOngoing = true
    return partitions
  }

  /** Version 1: tells the coordinator that offsets of this group will be part of the transaction. */
  async addOffsets(groupId: string, deadline: Deadline): Promise<void> {
    const answer = await this.#untilReady(
      addOffsetsToTxn,
      () => ({ transactionalId: this.transactionalId, ...this.#held, groupId }),
      (refused) => refused.errorCode,
      deadline,
    )
    if (answer.errorCode !== errorCode.NONE)
      throw this.#refused(`adding offsets of group ${groupId} to`, addOffsetsToTxn, answer.errorCode, groupId)
    this.#isOngoing = true
  }

  /**
   * Commits or aborts, and takes over the producer id and epoch for the next transaction. Refusals that only say "not
   * yet" or "not here" are repeated: an EndTxn is idempotent within its epoch.
   *
   * @param onSent Awaited when the bytes of the first attempt are with the socket.
   * @throws KafkaFailure whose outcome tells what became of a commit
   */
  async endTransaction(
    committed: boolean,
    deadline: Deadline,
    onSent?: () => void | Promise<void>,
  ): Promise<void> {
    // Under version 1 nothing has begun before a partition was added, and ending nothing is refused.
    if (!committed && !this.#isOngoing) return
    // True once some attempt may have been carried out although no answer says so. A clear refusal leaves no doubt.
    let doubtful = false
    let announced = false
    for (let attempt = 1; ; attempt++) {
      let code: number
      let sending = false
      let unanswered = false
      try {
        const connection = await this.#connect(deadline)
        sending = true
        const { answer } = await deadline.race(
          connection.send(endTxn[this.#version], {
            transactionalId: this.transactionalId,
            ...this.#held,
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
          if (ended.next !== undefined) this.#takeOver(ended.next)
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

  /** @param held What this session holds, or undefined to take the id over from whoever has it. */
  async #raiseEpoch(held: Held | undefined, deadline: Deadline): Promise<void> {
    const { transactionTimeoutMs } = this.#options
    const answer = await this.#untilReady(
      initProducerId,
      () => ({ transactionalId: this.transactionalId, transactionTimeoutMs, held }),
      (refused) => refused.errorCode,
      deadline,
      { isStart: held === undefined },
    )
    if (answer.errorCode !== errorCode.NONE)
      throw this.#refused('initialising', initProducerId, answer.errorCode)
    this.#takeOver(answer)
  }

  #takeOver({ producerId, producerEpoch }: Held): void {
    this.#producerId = producerId
    this.#producerEpoch = producerEpoch
    this.#isFresh = true
    this.#isOngoing = false
  }

  /**
   * Asks the coordinator until it is ready. A request whose answer is lost may arrive late, and in a later transaction
   * it would do harm: it is repeated only by a start, which fences what it asked for before.
   *
   * @param codeOf The code of an answer, of which those in `coordinatorNotReady` are waited for
   * @throws OutboxError KAFKA_UNAVAILABLE
   */
  async #untilReady<Request, Answer>(
    api: Api<Request, Answer>,
    request: () => Request,
    codeOf: (answer: Answer) => number | undefined,
    deadline: Deadline,
    { isStart = false }: { readonly isStart?: boolean } = {},
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      let isSent = false
      try {
        const connection = await this.#connect(deadline)
        const sent = await deadline.race(connection.send(api, request()))
        isSent = true
        const answer = await deadline.race(sent.answer)
        const code = codeOf(answer) ?? errorCode.NONE
        if (!coordinatorNotReady.has(code)) return answer
        if (code !== errorCode.CONCURRENT_TRANSACTIONS) this.#coordinator = undefined
      } catch (error) {
        if (deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE') || (isSent && !isStart))
          throw error
        this.#coordinator = undefined
      }
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }

  async #connect(deadline: Deadline) {
    const { cluster, connections } = this.#options
    this.#coordinator ??= await cluster.coordinator('transaction', this.transactionalId, deadline)
    return await connections.to(this.#coordinator, deadline)
  }

  get #held(): Held {
    invariant(this.#producerEpoch >= 0, `${this.transactionalId} is initialised before it is used`)
    return { producerId: this.#producerId, producerEpoch: this.#producerEpoch }
  }

  #refused(doing: string, api: Api<never, unknown>, code: number, group?: string): KafkaFailure {
    const message = `${doing} ${this.transactionalId}: ${describeCode(code)}`
    const details = { transactionalId: this.transactionalId, code }
    if (fencing.has(code)) return new KafkaFailure('KAFKA_FENCED', 'fenced', message, { details })
    const names = { 'transactional-id': this.transactionalId, ...(group !== undefined && { group }) }
    const denial = denialOf(`${doing} ${this.transactionalId}`, api, code, names, details)
    if (denial !== undefined) return denied(denial)
    return new KafkaFailure(refusedErrorCode(code), 'not-committed', message, { details })
  }

  #endRefused(committed: boolean, doubtful: boolean, code: number): KafkaFailure {
    const message = `${this.#endName(committed)}: ${describeCode(code)}`
    const details = { ...this.#details, code }
    if (committed && doubtful)
      return new KafkaFailure('KAFKA_TRANSACTION_UNKNOWN', 'unknown', message, { details })
    if (fencing.has(code)) return new KafkaFailure('KAFKA_FENCED', 'fenced', message, { details })
    const names = { 'transactional-id': this.transactionalId }
    const denial = denialOf(this.#endName(committed), endTxn[this.#version], code, names, details)
    if (denial !== undefined) return denied(denial)
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
    const { producerId, producerEpoch } = this.#held
    return { transactionalId: this.transactionalId, producerId: String(producerId), producerEpoch }
  }
}

interface Held {
  readonly producerId: bigint
  readonly producerEpoch: number
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

const denied = (denial: Denial): KafkaFailure =>
  new KafkaFailure('KAFKA_AUTHORIZATION_FAILED', 'not-committed', denial.message, denial)

function refusedErrorCode(code: number): ErrorCode {
  if (code === errorCode.INVALID_TRANSACTION_TIMEOUT) return 'KAFKA_OPTIONS_INVALID'
  return 'KAFKA_TRANSACTION_NOT_COMMITTED'
}
