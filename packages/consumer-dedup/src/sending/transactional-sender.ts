import { LinkedSignal, OutboxError } from '@oncebox/core'
import {
  openSession,
  type Compression,
  type ConsumedOffsets,
  type KafkaClient,
  type TransactionSession,
} from '@oncebox/kafka'
import { outputRecords } from './output-records.js'
import type { Output } from './output.js'

export interface Sending {
  readonly outputs?: readonly Output[]
  /** What the outputs were made of: committed in the same transaction. */
  readonly offsets?: ConsumedOffsets
}

export interface TransactionalSenderOptions {
  /** Stable, and one partition's: opening fences whoever had them before, and ends what that had begun. */
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  readonly compression: Compression
}

/** One transaction per call. After a failure the next call opens a new session. */
export class TransactionalSender {
  readonly #client: KafkaClient
  readonly #options: TransactionalSenderOptions
  #session: TransactionSession | undefined
  #last: Promise<void> = Promise.resolve()
  readonly #closing = new AbortController()

  constructor(client: KafkaClient, options: TransactionalSenderOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * Takes the ids over: every transaction of a predecessor is decided when it resolves.
   * @throws KafkaFailure, OutboxError KAFKA_SESSION_CLOSED, the signal's reason
   */
  async open(signal?: AbortSignal): Promise<TransactionSession> {
    // A handler that outlives its partition may come to its end when that is closed.
    this.#closing.signal.throwIfAborted()
    const { transactionalId, transactionTimeoutMs } = this.#options
    if (this.#session?.state === 'ready') return this.#session
    await this.#session?.close()
    this.#session = undefined
    using wanted = new LinkedSignal(signal, this.#closing.signal)
    const session = await openSession(this.#client, {
      transactionalIds: [`${transactionalId}:a`, `${transactionalId}:b`],
      transactionTimeoutMs,
      signal: wanted.signal,
    })
    this.#session = session
    if (this.#closing.signal.aborted) await session.close()
    return session
  }

  /**
   * All or nothing. The signal ends the preparations; a transaction that is begun is finished.
   * @throws KafkaFailure whose `outcome` says what became of it, OutboxError, the signal's reason
   */
  async send(sending: Sending, signal?: AbortSignal): Promise<void> {
    // One after the other: events with different keys may fail for good at once.
    const sent = this.#last.then(() => this.#send(sending, signal))
    this.#last = sent.catch(() => undefined)
    await sent
  }

  async #send({ outputs = [], offsets }: Sending, signal: AbortSignal | undefined): Promise<void> {
    const session = await this.open(signal)
    const partitions = await outputRecords(this.#client, outputs, this.#options.compression, signal)
    if (partitions.length === 0 && offsets === undefined) return
    await session.publish({ partitions, ...(offsets === undefined ? {} : { offsets }) })
    for (const records of partitions) records.release()
  }

  /** Ends an opening, too. Safe to call twice. */
  async close(): Promise<void> {
    this.#closing.abort(new OutboxError('KAFKA_SESSION_CLOSED', 'the partition of the sender was given back'))
    await this.#session?.close()
  }
}
