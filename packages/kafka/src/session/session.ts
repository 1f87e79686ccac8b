import { faultPoint, invariant, OutboxError } from '@oncebox/core'
import type { BrokerConnections } from '../broker-connections.js'
import type { Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { KafkaFailure, toKafkaFailure } from '../kafka-failure.js'
import { within } from '../options.js'
import { errorCode } from '../protocol/error-codes.js'
import { TransactionRefused, type Placement } from './delivery.js'
import { fillTransaction, type TransactionContent } from './fill-transaction.js'
import type { MarkerCheck } from './marker-check.js'
import type { Producer } from './producer.js'
import type { ClaimedSession, Receipt, SessionState, Transaction } from './transaction-session.js'

export interface SessionParts {
  readonly cluster: Cluster
  /** Used in turn: Kafka holds the next transaction of one id back until the markers of its last are written. */
  readonly producers: readonly Producer[]
  /** The session's own, so that closing them cannot disturb others, nor large requests delay EndTxn. */
  readonly produceConnections: BrokerConnections
  readonly coordinatorConnections: BrokerConnections
  readonly markers: MarkerCheck
  /** Absent for a session without a claim, whose type does not show it. */
  readonly claimOffset?: bigint
  /** Index of the producer whose turn is next. */
  readonly next: number
  readonly transactionTimeoutMs: number
  readonly topicPatienceMs: number
}

const notCommitted = ['KAFKA_TRANSACTION_NOT_COMMITTED', 'not-committed'] as const
const unknown = ['KAFKA_TRANSACTION_UNKNOWN', 'unknown'] as const
const explainDeadlineMs = 5_000

type Ended = 'committed' | 'aborted' | 'failed'

/** What the transaction behind needs to know of the one ahead. Both promises always resolve. */
class Turn {
  readonly filled: Promise<boolean>
  readonly ended: Promise<Ended>
  settleFilled: (acknowledged: boolean) => void = () => undefined
  settleEnded: (ended: Ended) => void = () => undefined
  /** EndTxn(commit) may be on its way, or further. */
  committing = false

  constructor() {
    this.filled = new Promise((resolve) => (this.settleFilled = resolve))
    this.ended = new Promise((resolve) => (this.settleEnded = resolve))
  }
}

/** The session behind {@link TransactionSession}: producers in turn, one transaction ahead at most. */
export class Session implements ClaimedSession {
  readonly #parts: SessionParts
  readonly #turns: Turn[] = []
  readonly #closing = new AbortController()
  #state: SessionState = 'ready'
  #next: number

  constructor(parts: SessionParts) {
    this.#parts = parts
    this.#next = parts.next
  }

  get state(): SessionState {
    return this.#state
  }

  get producerIds(): readonly bigint[] {
    return this.#parts.markers.producerIds
  }

  get claimOffset(): bigint {
    return this.#parts.claimOffset ?? -1n
  }

  async publish({
    partitions = [],
    offsets,
    gate,
    deadlineMs = this.#parts.transactionTimeoutMs,
  }: Transaction): Promise<Receipt> {
    invariant(
      this.#turns.length < 2,
      'at most one undecided transaction is ahead: await the first publish before the third',
    )
    const content = { partitions: partitions.filter(({ count }) => count > 0), offsets }
    invariant(
      content.partitions.length > 0 || (offsets?.offsets.length ?? 0) > 0,
      'a transaction has at least one record or offset',
    )
    within('deadlineMs', deadlineMs, 1, 900_000)
    // Settled from here on, whatever happens: a gate that rejects early or late is never an unhandled rejection.
    const gateResult = settle(gate)
    this.#refuseUnlessReady()

    // Compressed while the transaction ahead is on its way; produceRecords waits for it, and hears of a failure.
    for (const records of content.partitions) records.close().catch(() => undefined)
    const ahead = this.#turns.at(-1)
    const turn = new Turn()
    this.#turns.push(turn)
    using deadline = new Deadline(deadlineMs, 'publishing a transaction', this.#closing.signal)
    try {
      return await this.#publish(content, gateResult, ahead, turn, deadline)
    } catch (error) {
      if (error instanceof KafkaFailure) throw error
      // A mistake of ours or an injected fault left the transaction as it stood: this session must not go on with it.
      const [code, outcome] = turn.committing ? unknown : notCommitted
      throw this.#fail(toKafkaFailure(error, code, outcome, 'publishing'))
    } finally {
      turn.settleFilled(false)
      turn.settleEnded('failed')
      this.#turns.splice(this.#turns.indexOf(turn), 1)
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'ready') this.#state = 'closed'
    this.#closing.abort(new OutboxError('KAFKA_SESSION_CLOSED', 'the session was closed'))
    await Promise.all([this.#parts.produceConnections.close(), this.#parts.coordinatorConnections.close()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #publish(
    content: TransactionContent,
    gate: Promise<GateResult>,
    ahead: Turn | undefined,
    turn: Turn,
    deadline: Deadline,
  ): Promise<Receipt> {
    // Overlapping the Produce of two transactions reorders keys: 47 inversions in 600 were measured.
    if (ahead !== undefined && !(await this.#wait(ahead.filled, deadline)))
      throw this.#aheadFailed(await ahead.ended)
    const patientUntilMs = performance.now() + Math.min(this.#parts.topicPatienceMs, deadline.remainingMs / 2)
    await this.#proveMarkers(content, ahead, patientUntilMs, deadline)
    // One id holds one transaction at a time.
    if (ahead !== undefined && this.#parts.producers.length === 1) await this.#untilCommitted(ahead, deadline)
    this.#refuseUnlessReady()
    const producer = this.#takeTurn()

    const placed = await this.#fill(content, producer, turn, patientUntilMs, deadline)
    turn.settleFilled(true)
    await faultPoint('relay.produce.acked')

    const opened = await this.#wait(gate, deadline)
    if (opened.rejected) {
      await this.#abort(producer, turn, deadline)
      throw new KafkaFailure(...notCommitted, 'the transaction was aborted: its gate rejected', {
        cause: opened.reason,
      })
    }
    const endedAhead = ahead === undefined ? 'committed' : await this.#wait(ahead.ended, deadline)
    if (endedAhead !== 'committed') {
      // The records behind assume those ahead: a position that skips them would lose them.
      if (endedAhead === 'aborted') await this.#abort(producer, turn, deadline)
      throw this.#aheadFailed(endedAhead)
    }
    await this.#commit(producer, turn, deadline)
    for (const records of content.partitions) records.release()
    return { placed }
  }

  /** Looks at partitions that are used for the first time or over a new connection. Nothing is sent to them before. */
  async #proveMarkers(
    { partitions }: TransactionContent,
    ahead: Turn | undefined,
    patientUntilMs: number,
    deadline: Deadline,
  ): Promise<void> {
    const { markers } = this.#parts
    const doubtful = markers.doubtful(partitions)
    if (doubtful.length === 0) return
    // The transaction ahead is open on its partitions, rightly.
    if (ahead !== undefined) await this.#untilCommitted(ahead, deadline)
    try {
      await markers.prove(doubtful, deadline, Math.max(0, patientUntilMs - performance.now()))
    } catch (error) {
      // The session is as it was: this transaction has not begun.
      if (error instanceof KafkaFailure || isRefusedTopic(error))
        throw toKafkaFailure(error, error.code, 'not-committed', 'looking at the partitions')
      throw this.#fail(toKafkaFailure(error, ...notCommitted, 'looking at the partitions'))
    }
  }

  async #untilCommitted(ahead: Turn, deadline: Deadline): Promise<void> {
    const ended = await this.#wait(ahead.ended, deadline)
    if (ended !== 'committed') throw this.#aheadFailed(ended)
  }

  #takeTurn(): Producer {
    const { producers } = this.#parts
    const producer = producers[this.#next]
    invariant(producer !== undefined, 'a session has a producer for each turn')
    this.#next = (this.#next + 1) % producers.length
    return producer
  }

  async #fill(
    content: TransactionContent,
    producer: Producer,
    turn: Turn,
    patientUntilMs: number,
    deadline: Deadline,
  ): Promise<readonly Placement[]> {
    const { cluster, produceConnections, coordinatorConnections, markers } = this.#parts
    try {
      await producer.begin(cluster.transactionVersion, deadline)
      markers.own(producer.producerId)
      return await fillTransaction(content, {
        cluster,
        connections: produceConnections,
        offsetConnections: coordinatorConnections,
        producer,
        deadline,
        patientUntilMs,
        onSent: () => faultPoint('relay.produce.sent'),
      })
    } catch (error) {
      if (!(error instanceof TransactionRefused))
        throw await this.#explain(
          toKafkaFailure(error, ...notCommitted, 'the transaction was not committed'),
          producer,
        )
      await this.#abort(producer, turn, deadline)
      throw new KafkaFailure(error.code, 'not-committed', error.message, {
        cause: error,
        details: error.details,
      })
    }
  }

  async #commit(producer: Producer, turn: Turn, deadline: Deadline): Promise<void> {
    turn.committing = true
    try {
      await producer.endTransaction(true, deadline, () => faultPoint('relay.endtxn.sent'))
    } catch (error) {
      throw await this.#explain(toKafkaFailure(error, ...unknown, 'committing'), producer)
    }
    turn.settleEnded('committed')
    await faultPoint('relay.endtxn.acked')
  }

  /** A clean abort leaves the session ready; anything else poisons it. Either way nothing becomes visible. */
  async #abort(producer: Producer, turn: Turn, deadline: Deadline): Promise<void> {
    try {
      await producer.endTransaction(false, deadline)
    } catch (error) {
      throw await this.#explain(toKafkaFailure(error, ...notCommitted, 'aborting'), producer)
    }
    turn.settleEnded('aborted')
  }

  async #wait<Value>(promise: Promise<Value>, deadline: Deadline): Promise<Value> {
    try {
      return await deadline.race(promise)
    } catch (error) {
      throw this.#fail(toKafkaFailure(error, ...notCommitted, 'the transaction was not committed'))
    }
  }

  /** Poisons the session, and says of a refused id whether another session has it or our transaction ran into its timeout. */
  async #explain(failure: KafkaFailure, producer: Producer): Promise<KafkaFailure> {
    const isRefused = failure.outcome === 'fenced' || failure.details['code'] === errorCode.INVALID_TXN_STATE
    if (!isRefused || failure.outcome === 'unknown') return this.#fail(failure)
    using deadline = new Deadline(explainDeadlineMs, 'asking who holds the id', this.#closing.signal)
    // Who cannot be asked leaves it at the refusal.
    if (!(await producer.hasTimedOut(deadline).catch(() => false))) return this.#fail(failure)
    return this.#fail(
      new KafkaFailure(
        'KAFKA_TRANSACTION_TIMED_OUT',
        'not-committed',
        `the transaction of ${producer.transactionalId} was open for longer than ${this.#parts.transactionTimeoutMs} ms, and the coordinator aborted it`,
        { cause: failure, details: failure.details },
      ),
    )
  }

  /**
   * Poisons the session. The sockets that carry records are closed at once, so that nothing held back can go out
   * later; those to the coordinators stay, as the transaction ahead may be waiting for its EndTxn.
   */
  #fail(failure: KafkaFailure): KafkaFailure {
    if (this.#state === 'ready' || this.#state === 'poisoned')
      this.#state = failure.outcome === 'fenced' ? 'fenced' : 'poisoned'
    void this.#parts.produceConnections.close()
    return failure
  }

  #aheadFailed(ended: Ended): KafkaFailure {
    if (ended === 'failed') return sessionClosed(this.#state)
    return new KafkaFailure(
      ...notCommitted,
      'the transaction was not committed: the one ahead of it was aborted',
    )
  }

  #refuseUnlessReady(): void {
    if (this.#state !== 'ready') throw sessionClosed(this.#state)
  }
}

/** It is not there, or not for this principal. */
const isRefusedTopic = (error: unknown): error is OutboxError =>
  OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE') || OutboxError.is(error, 'KAFKA_AUTHORIZATION_FAILED')

type GateResult = { readonly rejected: false } | { readonly rejected: true; readonly reason: unknown }

async function settle(gate: Promise<unknown> | undefined): Promise<GateResult> {
  try {
    await gate
    return { rejected: false }
  } catch (reason) {
    return { rejected: true, reason }
  }
}

const sessionClosed = (state: SessionState): KafkaFailure =>
  new KafkaFailure(
    'KAFKA_SESSION_CLOSED',
    'not-committed',
    `the session is ${state}: nothing was sent or will be committed`,
  )
