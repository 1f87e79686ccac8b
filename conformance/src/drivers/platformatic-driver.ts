import {
  Consumer,
  FetchIsolationLevels,
  MessagesStreamModes,
  Producer,
  stringSerializer,
  type Message,
} from '@platformatic/kafka'
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
  Settings,
} from '../driver.js'
import { pad, unpad } from '../padding.js'

// Its defaults name producer 0, epoch 0, which the broker takes for a claim and fences; -1 asks for new ones.
const newProducer = { producerId: -1n, producerEpoch: -1 }

type Transactional = Awaited<ReturnType<Producer<Buffer, Buffer, string, string>['beginTransaction']>>

export class PlatformaticDriver implements Driver {
  #producer: Producer<Buffer, Buffer, string, string> | undefined
  #transaction: Transactional | undefined
  #settings: Settings = 'usual'
  #brokers: readonly string[] = []

  async open({ brokers, transactionalId, transactionTimeoutMs, settings }: OpenOptions): Promise<void> {
    await this.close()
    this.#settings = settings
    this.#brokers = brokers
    this.#producer = new Producer({
      clientId: 'conformance',
      bootstrapBrokers: [...brokers],
      idempotent: true,
      transactionalId,
      serializers: { headerKey: stringSerializer, headerValue: stringSerializer },
      ...(settings !== 'documented' && { ...newProducer, timeout: transactionTimeoutMs }), // the request's is the transaction's
      ...(settings === 'back-to-back' && { retryDelay: 10, retries: 1_000 }),
    })
    await Promise.resolve()
  }

  async produce({ records, offsets }: Content): Promise<void> {
    const transaction = (this.#transaction ??= await this.#begin())
    if (records.length > 0)
      await transaction.send({
        messages: records.map(({ topic, partition, key, value, bytes, timestampMs }) => ({
          topic,
          partition,
          ...(key !== undefined && { key: Buffer.from(key, 'hex') }),
          value: Buffer.from(pad(value, bytes)),
          ...(timestampMs !== undefined && { timestamp: BigInt(timestampMs) }),
        })),
      })
    if (offsets !== undefined) await this.#sendOffset(transaction, offsets)
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
      const transaction = await this.#begin()
      await transaction.send({ messages: [{ topic, partition, value: Buffer.from(value) }] })
      await transaction.commit()
    }
  }

  async read(
    { brokers, topic, group }: ReadOptions,
    onRecords: (records: readonly ReadRecord[]) => void,
  ): Promise<void> {
    const stream = await consumerOf(brokers, group).consume({
      topics: [topic],
      mode: MessagesStreamModes.EARLIEST,
      isolationLevel: FetchIsolationLevels.READ_COMMITTED,
    })
    stream.on('error', (error: unknown) => process.stderr.write(`reading ended: ${String(error)}\n`))
    stream.on('data', ({ partition, offset, value }: Message) =>
      onRecords([{ partition, offset: String(offset), value: unpad(String(value)) }]),
    )
  }

  async committedOffset({ group, topic, partition }: InputPartition): Promise<string | null> {
    const consumer = consumerOf(this.#brokers, group)
    try {
      const offsets = await consumer.listCommittedOffsets({ topics: [{ topic, partitions: [partition] }] })
      const offset = offsets.get(topic)?.[partition]
      return offset === undefined || offset < 0n ? null : String(offset)
    } finally {
      await consumer.close(true)
    }
  }

  async close(): Promise<void> {
    this.#transaction = undefined
    await this.#producer?.close()
  }

  complaint(error: unknown): Complaint {
    const all = flatten(error)
    const name = [...new Set(all.map(({ code, apiId }) => apiId ?? code ?? 'Error'))].join(' < ')
    return { name, message: all.map(({ message }) => message).join(' < '), says: saysOf(all) }
  }

  async #begin(): Promise<Transactional> {
    if (this.#producer === undefined) throw new Error('open comes first')
    return await this.#producer.beginTransaction(this.#settings === 'documented' ? {} : newProducer)
  }

  #begun(): Transactional {
    if (this.#transaction === undefined) throw new Error('no transaction was begun')
    return this.#transaction
  }

  /** Its interface takes the message that was read; of that it uses what is built here. */
  async #sendOffset(
    transaction: Transactional,
    { group, topic, partition, offset }: InputOffset,
  ): Promise<void> {
    const consumer = consumerOf(this.#brokers, group)
    try {
      await transaction.addConsumer(consumer)
      const coordinatorId = await consumer.findGroupCoordinator()
      const metadata = { consumer: { groupId: group, generationId: -1, memberId: '', coordinatorId } }
      const message = { topic, partition, offset: BigInt(offset) - 1n, metadata }
      await transaction.addOffset(message as unknown as Message)
    } finally {
      await consumer.close(true)
    }
  }
}

const consumerOf = (brokers: readonly string[], groupId: string): Consumer =>
  new Consumer({ clientId: 'conformance', bootstrapBrokers: [...brokers], groupId, autocommit: false })

/** Its errors nest: several in one, and one as the cause of another. */
interface PlatformaticError extends Error {
  readonly code?: string
  readonly apiId?: string
  readonly errors?: readonly unknown[]
}

function flatten(error: unknown): readonly PlatformaticError[] {
  if (!(error instanceof Error)) return []
  const { errors = [], cause } = error as PlatformaticError
  return [error, ...errors.flatMap(flatten), ...flatten(cause)]
}

function saysOf(all: readonly PlatformaticError[]): Says {
  const ids = new Set(all.map(({ apiId }) => apiId))
  if (ids.has('INVALID_PRODUCER_EPOCH') || ids.has('PRODUCER_FENCED')) return 'fenced'
  if (ids.has('MESSAGE_TOO_LARGE') || ids.has('RECORD_LIST_TOO_LARGE')) return 'too-large'
  return all.some(({ code }) => code === 'PLT_KFK_NETWORK' || code === 'PLT_KFK_TIMEOUT')
    ? 'no-answer'
    : 'refused'
}
