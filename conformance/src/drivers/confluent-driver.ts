import type {
  Complaint,
  Content,
  Driver,
  InputOffset,
  InputPartition,
  OpenOptions,
  PublishEachOptions,
  ReadOptions,
  ReadRecord,
  Says,
} from '../driver.js'
import { unpad } from '../padding.js'
import {
  loadConfluent,
  type ConfluentConsumer,
  type ConfluentError,
  type ConfluentProducer,
} from './confluent-api.js'
import { byTopic } from './kafkajs-messages.js'

const { Kafka } = loadConfluent().KafkaJS

export class ConfluentDriver implements Driver {
  #producer: ConfluentProducer | undefined
  #brokers: readonly string[] = []
  #begun = false

  async open({ brokers, transactionalId, transactionTimeoutMs, settings }: OpenOptions): Promise<void> {
    await this.close()
    this.#brokers = brokers
    const producer = new Kafka().producer({
      'bootstrap.servers': brokers.join(','),
      'transactional.id': transactionalId,
      ...(settings !== 'documented' && { 'transaction.timeout.ms': transactionTimeoutMs }),
    })
    await producer.connect()
    this.#producer = producer
  }

  async produce({ records, offsets }: Content): Promise<void> {
    const producer = this.#opened()
    if (!this.#begun) await producer.transaction()
    this.#begun = true
    if (records.length > 0) await producer.sendBatch({ topicMessages: byTopic(records) })
    if (offsets !== undefined) await this.#sendOffsets(producer, offsets)
  }

  /** Its documentation: an error that is `retriable` means that the operation may be tried again. */
  async commit(): Promise<void> {
    for (let attempt = 1; ; attempt++)
      try {
        await this.#opened().commit()
        this.#begun = false
        return
      } catch (error) {
        if ((error as ConfluentError).retriable !== true || attempt === triesMax) throw error
      }
  }

  async abort(): Promise<void> {
    await this.#opened().abort()
    this.#begun = false
  }

  async publishEach({ topic, partition, values }: PublishEachOptions): Promise<void> {
    const producer = this.#opened()
    for (const value of values) {
      await producer.transaction()
      const messages = [{ partition, key: null, value }]
      await producer.sendBatch({ topicMessages: [{ topic, messages }] })
      await producer.commit()
    }
  }

  async read(
    { brokers, topic, group }: ReadOptions,
    onRecords: (records: readonly ReadRecord[]) => void,
  ): Promise<void> {
    const consumer = consumerOf(brokers, group)
    await consumer.connect()
    await consumer.subscribe({ topics: [topic] })
    await consumer.run({
      eachMessage: async ({ partition, message: { offset, value } }) => {
        onRecords([{ partition, offset, value: unpad(String(value)) }])
        await Promise.resolve()
      },
    })
  }

  async committedOffset({ group, topic, partition }: InputPartition): Promise<string | null> {
    const consumer = consumerOf(this.#brokers, group)
    await consumer.connect()
    try {
      const [found] = await consumer.committed([{ topic, partition }], requestMs)
      return found?.offset ?? null
    } finally {
      await consumer.disconnect()
    }
  }

  async close(): Promise<void> {
    this.#begun = false
    await this.#producer?.disconnect()
    this.#producer = undefined
  }

  complaint(error: unknown): Complaint {
    if (!(error instanceof Error)) return { name: 'Error', message: String(error), says: 'refused' }
    const { name, type, message }: ConfluentError = error
    return { name: `${name} ${type ?? ''}`.trim(), message, says: meanings.get(type ?? '') ?? 'refused' }
  }

  #opened(): ConfluentProducer {
    if (this.#producer === undefined) throw new Error('no producer is open')
    return this.#producer
  }

  /** Its interface takes the consumer; of that it uses the group. */
  async #sendOffsets(
    producer: ConfluentProducer,
    { group, topic, partition, offset }: InputOffset,
  ): Promise<void> {
    const consumer = consumerOf(this.#brokers, group)
    await consumer.connect()
    try {
      await producer.sendOffsets({ consumer, topics: [{ topic, partitions: [{ partition, offset }] }] })
    } finally {
      await consumer.disconnect()
    }
  }
}

const triesMax = 3
const requestMs = 5_000

const consumerOf = (brokers: readonly string[], group: string): ConfluentConsumer =>
  new Kafka().consumer({
    'bootstrap.servers': brokers.join(','),
    'group.id': group,
    'auto.offset.reset': 'earliest',
    'enable.auto.commit': false,
  })

const meanings: ReadonlyMap<string, Says> = new Map([
  ['ERR__FENCED', 'fenced'],
  ['ERR_PRODUCER_FENCED', 'fenced'],
  ['ERR_INVALID_PRODUCER_EPOCH', 'fenced'],
  ['ERR_MSG_SIZE_TOO_LARGE', 'too-large'],
  ['ERR__TIMED_OUT', 'no-answer'],
  ['ERR_REQUEST_TIMED_OUT', 'no-answer'],
  ['ERR__TRANSPORT', 'no-answer'],
  ['ERR__ALL_BROKERS_DOWN', 'no-answer'],
])
