import { Kafka, logLevel, type Consumer, type Producer, type RetryOptions, type Transaction } from 'kafkajs'
import type {
  Complaint,
  Content,
  Driver,
  InputPartition,
  OpenOptions,
  PublishEachOptions,
  ReadOptions,
  ReadRecord,
  Says,
} from '../driver.js'
import { unpad } from '../padding.js'
import { byTopic } from './kafkajs-messages.js'

export class KafkajsDriver implements Driver {
  /** As by default. */
  protected readonly readUncommitted: boolean = false
  #kafka: Kafka | undefined
  #producer: Producer | undefined
  #consumer: Consumer | undefined
  #transaction: Transaction | undefined

  async open({ brokers, transactionalId, transactionTimeoutMs, settings }: OpenOptions): Promise<void> {
    await this.close()
    this.#kafka = kafkaOf(brokers)
    this.#producer = this.#kafka.producer({
      transactionalId,
      idempotent: true,
      maxInFlightRequests: 1,
      ...(settings !== 'documented' && { transactionTimeout: transactionTimeoutMs }),
      ...(settings === 'back-to-back' && { retry: shortRetry }),
    })
    await this.#producer.connect()
  }

  async produce({ records, offsets }: Content): Promise<void> {
    const transaction = (this.#transaction ??= await this.#opened().transaction())
    if (records.length > 0) await transaction.sendBatch({ topicMessages: byTopic(records) })
    if (offsets !== undefined) {
      const { group, topic, partition, offset } = offsets
      const topics = [{ topic, partitions: [{ partition, offset }] }]
      await transaction.sendOffsets({ consumerGroupId: group, topics })
    }
  }

  async commit(): Promise<void> {
    await this.#begun().commit()
    this.#transaction = undefined
  }

  async abort(): Promise<void> {
    await this.#begun().abort()
    this.#transaction = undefined
  }

  async publishEach({ topic, partition, values }: PublishEachOptions): Promise<void> {
    for (const value of values) {
      const transaction = await this.#opened().transaction()
      await transaction.send({ topic, messages: [{ partition, value }] })
      await transaction.commit()
    }
  }

  async read(
    { brokers, topic, group }: ReadOptions,
    onRecords: (records: readonly ReadRecord[]) => void,
  ): Promise<void> {
    const consumer = (this.#consumer = kafkaOf(brokers).consumer({
      groupId: group,
      readUncommitted: this.readUncommitted,
    }))
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message: { offset, value } }) => {
        onRecords([{ partition, offset, value: unpad(String(value)) }])
        await Promise.resolve()
      },
    })
  }

  async committedOffset({ group, topic, partition }: InputPartition): Promise<string | null> {
    const admin = this.#kafka?.admin()
    await admin?.connect()
    const [found] = (await admin?.fetchOffsets({ groupId: group, topics: [topic] })) ?? []
    await admin?.disconnect()
    const offset = found?.partitions.find((candidate) => candidate.partition === partition)?.offset
    return offset === undefined || offset === '-1' ? null : offset
  }

  async close(): Promise<void> {
    this.#transaction = undefined
    await this.#producer?.disconnect()
    await this.#consumer?.disconnect()
  }

  complaint(error: unknown): Complaint {
    const chain = causesOf(error)
    const name = chain.map(({ name: className, type }) =>
      type === undefined ? className : `${className} ${type}`,
    )
    return { name: name.join(' < '), message: chain[0]?.message ?? String(error), says: saysOf(chain) }
  }

  #opened(): Producer {
    if (this.#producer === undefined) throw new Error('open comes first')
    return this.#producer
  }

  #begun(): Transaction {
    if (this.#transaction === undefined) throw new Error('no transaction was begun')
    return this.#transaction
  }
}

const kafkaOf = (brokers: readonly string[]): Kafka =>
  new Kafka({ clientId: 'conformance', brokers: [...brokers], logLevel: logLevel.NOTHING })

// By default each transaction waits 300 ms for the one before it.
const shortRetry: RetryOptions = { retries: 10, initialRetryTime: 10 }

/** kafkajs's errors carry the protocol's code as `type`, and what was retried in vain as `cause`. */
interface KafkajsError extends Error {
  readonly type?: string
  readonly originalError?: unknown
}

function causesOf(error: unknown): readonly KafkajsError[] {
  if (!(error instanceof Error)) return []
  const { cause, originalError } = error as KafkajsError
  return [error, ...causesOf(cause ?? originalError)]
}

const unanswered = new Set([
  'KafkaJSRequestTimeoutError',
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
])

function saysOf(chain: readonly KafkajsError[]): Says {
  const types = new Set(chain.map(({ type }) => type))
  if (types.has('INVALID_PRODUCER_EPOCH') || types.has('PRODUCER_FENCED')) return 'fenced'
  if (types.has('MESSAGE_TOO_LARGE') || types.has('RECORD_LIST_TOO_LARGE')) return 'too-large'
  return chain.some(({ name }) => unanswered.has(name)) ? 'no-answer' : 'refused'
}
