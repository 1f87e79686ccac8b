import { Kafka, logLevel, Partitioners, type Producer, type Transaction } from 'kafkajs'
import { randomName } from '@internal/stack'
import { pad } from '../padding.js'

/**
 * Writes the logs that readers are tested with, past the proxy. kafkajs does it, with nothing going wrong; what it has
 * written is looked at by Apache's consumer before a reader is judged by it.
 */
export class LogWriter implements AsyncDisposable {
  readonly #kafka: Kafka
  readonly #topic: string
  readonly #producers: Producer[] = []

  constructor(brokers: readonly string[], topic: string) {
    this.#kafka = new Kafka({ clientId: 'log-writer', brokers: [...brokers], logLevel: logLevel.NOTHING })
    this.#topic = topic
  }

  /** A transactional producer of its own. */
  async producer(): Promise<LogProducer> {
    const producer = this.#kafka.producer({
      transactionalId: randomName('log-writer'),
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
      retry: { initialRetryTime: 10, retries: 10 },
    })
    await producer.connect()
    this.#producers.push(producer)
    return { begin: async () => new LogTransaction(await producer.transaction(), this.#topic) }
  }

  /** A record outside of any transaction. */
  async plain(value: string): Promise<void> {
    const producer = this.#kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    this.#producers.push(producer)
    await producer.send({ topic: this.#topic, messages: [{ partition: 0, value }] })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#producers.map((producer) => producer.disconnect()))
  }
}

export interface LogProducer {
  begin(): Promise<LogTransaction>
}

class LogTransaction {
  readonly #transaction: Transaction
  readonly #topic: string

  constructor(transaction: Transaction, topic: string) {
    this.#transaction = transaction
    this.#topic = topic
  }

  /** One batch of one record in partition 0. */
  async write(
    value: string,
    options: { readonly key?: Buffer; readonly bytes?: number } = {},
  ): Promise<this> {
    const { key = null, bytes } = options
    await this.#transaction.send({
      topic: this.#topic,
      messages: [{ partition: 0, key, value: pad(value, bytes) }],
    })
    return this
  }

  async commit(): Promise<void> {
    await this.#transaction.commit()
  }

  async abort(): Promise<void> {
    await this.#transaction.abort()
  }
}
