import { invariant } from '@oncebox/core'
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
  #isClosed = false

  constructor(client: KafkaClient, options: TransactionalSenderOptions) {
    this.#client = client
    this.#options = options
  }

  /** Takes the ids over: every transaction of a predecessor is decided when it resolves. @throws KafkaFailure */
  async open(signal?: AbortSignal): Promise<TransactionSession> {
    invariant(!this.#isClosed, 'a sender is not opened after it was closed')
    const { transactionalId, transactionTimeoutMs } = this.#options
    if (this.#session?.state === 'ready') return this.#session
    await this.#session?.close()
    this.#session = undefined
    const session = await openSession(this.#client, {
      transactionalIds: [`${transactionalId}:a`, `${transactionalId}:b`],
      transactionTimeoutMs,
      ...(signal === undefined ? {} : { signal }),
    })
    this.#session = session
    if (this.#isClosed) await session.close()
    return session
  }

  /** All or nothing. @throws KafkaFailure whose `outcome` says what became of it, OutboxError */
  async send(sending: Sending): Promise<void> {
    // One after the other: events with different keys may fail for good at once.
    const sent = this.#last.then(() => this.#send(sending))
    this.#last = sent.catch(() => undefined)
    await sent
  }

  async #send({ outputs = [], offsets }: Sending): Promise<void> {
    const session = await this.open()
    const partitions = await outputRecords(this.#client, outputs, this.#options.compression)
    if (partitions.length === 0 && offsets === undefined) return
    await session.publish({ partitions, ...(offsets === undefined ? {} : { offsets }) })
    for (const records of partitions) records.release()
  }

  /** Safe to call twice. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#session?.close()
  }
}
