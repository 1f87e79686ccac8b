import { installFaultHandler, OutboxError, type ErrorCode } from '@oncebox/core'
import {
  connectKafka,
  ensureProgressTopic,
  KafkaFailure,
  openSession,
  PartitionRecords,
  readGroupOffsets,
  readTopicOffsets,
  startFetching,
  type ConsumedOffsets,
  type KafkaClient,
  type Receipt,
  type TransactionSession,
} from '@oncebox/kafka'
import {
  Unsupported,
  type Complaint,
  type Content,
  type Driver,
  type InputOffset,
  type InputPartition,
  type NewRecord,
  type OpenOptions,
  type PublishEachOptions,
  type ReadOptions,
  type ReadRecord,
  type Says,
} from '../driver.js'
import { pad, unpad } from '../padding.js'

/** One call is one whole transaction here; the gate holds it open between the steps of the suite. */
interface OpenTransaction {
  readonly publishing: Promise<Receipt>
  readonly commit: () => void
  readonly abort: (reason: Error) => void
}

export class OursDriver implements Driver {
  #client: KafkaClient | undefined
  #session: TransactionSession | undefined
  #transaction: OpenTransaction | undefined

  async open({ brokers, transactionalId, transactionTimeoutMs }: OpenOptions): Promise<void> {
    await this.close()
    const client = (this.#client = await connectKafka({ brokers }))
    const topic = `${transactionalId}.progress`
    await ensureProgressTopic(client, { topic, partitions: 1 })
    this.#session = await openSession(client, {
      transactionalIds: [`${transactionalId}:a`, `${transactionalId}:b`],
      transactionTimeoutMs,
      claim: { topic, partition: 0, key: Buffer.from('claim'), value: Buffer.from('claim') },
    })
  }

  async produce({ records, offsets }: Content): Promise<void> {
    if (this.#transaction !== undefined) throw new Unsupported('one call publishes a whole transaction')
    const session = this.#ready()
    const partitions = await this.#encode(records)
    const acknowledged = new Promise<void>((resolve) =>
      installFaultHandler((point) => (point === 'relay.produce.acked' ? resolve() : undefined)),
    )
    const { promise: gate, resolve: commit, reject: abort } = deferred()
    const publishing = session.publish({
      partitions,
      ...(offsets && { offsets: consumed(offsets) }),
      gate,
      deadlineMs,
    })
    this.#transaction = { publishing, commit, abort }
    try {
      await Promise.race([acknowledged, publishing])
    } catch (error) {
      this.#transaction = undefined
      throw error
    }
  }

  async commit(): Promise<void> {
    const { publishing, commit } = this.#take()
    commit()
    await publishing
  }

  /** After a failure there is nothing to abort in a session that is ready; any other has to be opened anew. */
  async abort(): Promise<void> {
    if (this.#transaction === undefined && this.#ready().state === 'ready') return
    const { publishing, abort } = this.#take()
    const asked = new Error('the user aborts')
    abort(asked)
    await publishing.catch((error: unknown) => {
      if (!(error instanceof KafkaFailure) || error.cause !== asked || this.#ready().state !== 'ready')
        throw error
    })
  }

  async publishEach({ topic, partition, values }: PublishEachOptions): Promise<void> {
    const session = this.#ready()
    for (const value of values) {
      const partitions = await this.#encode([{ topic, partition, value }])
      await session.publish({ partitions })
    }
  }

  async read(
    { brokers, topic }: ReadOptions,
    onRecords: (records: readonly ReadRecord[]) => void,
  ): Promise<void> {
    const client = (this.#client = await connectKafka({ brokers }))
    const { partitions } = await readTopicOffsets(client, topic)
    const loop = startFetching(client, {
      onBatch: async ({ partition, records }) =>
        onRecords(
          records.map(({ offset, value }) => ({
            partition,
            offset: String(offset),
            value: unpad(String(value)),
          })),
        ),
      onHalted: (_at, error) => process.stderr.write(`reading ended: ${String(error)}\n`),
    })
    loop.assign(
      Array.from(partitions, ([partition, { logStartOffset: offset }]) => ({ topic, partition, offset })),
    )
  }

  async committedOffset({ group: groupId, topic, partition }: InputPartition): Promise<string | null> {
    if (this.#client === undefined) throw new Error('open comes first')
    const [found] = await readGroupOffsets(this.#client, { groupId, partitions: [{ topic, partition }] })
    return found === undefined ? null : String(found.offset)
  }

  async close(): Promise<void> {
    this.#transaction = undefined
    await this.#session?.close()
    await this.#client?.close()
  }

  complaint(error: unknown): Complaint {
    if (!OutboxError.is(error)) return { name: 'Error', message: String(error), says: 'refused' }
    return { name: error.code, message: error.message, says: saysOf(error) }
  }

  #ready(): TransactionSession {
    if (this.#session === undefined) throw new Error('open comes first')
    return this.#session
  }

  #take(): OpenTransaction {
    const transaction = this.#transaction
    this.#transaction = undefined
    if (transaction !== undefined) return transaction
    throw new OutboxError('KAFKA_SESSION_CLOSED', `the session is ${this.#ready().state}: open a new one`)
  }

  async #encode(records: readonly NewRecord[]): Promise<readonly PartitionRecords[]> {
    const encoded = new Map<string, PartitionRecords>()
    for (const { topic, partition, key = '', value, bytes, timestampMs = Date.now() } of records) {
      const { maxMessageBytes } = (await this.#client?.describeTopic(topic)) ?? { maxMessageBytes: 0 }
      const name = `${topic}-${partition}`
      const target = encoded.get(name) ?? new PartitionRecords(topic, partition, { maxMessageBytes })
      encoded.set(name, target)
      const keyBytes = Buffer.from(key, 'hex')
      const source = Buffer.concat([keyBytes, Buffer.from(pad(value, bytes))])
      const keyStart = key === '' ? -1 : 0
      target.append(timestampMs, source, keyStart, keyBytes.length, keyBytes.length, source.length, 0, [])
    }
    return [...encoded.values()]
  }
}

// By default a call gives up when its transaction times out. Here the coordinator is to be the one who ends it.
const deadlineMs = 45_000

/** Of a group without members, as none of the cases has any. */
const consumed = ({ group, topic, partition, offset }: InputOffset): ConsumedOffsets => ({
  groupId: group,
  generationId: -1,
  memberId: '',
  offsets: [{ topic, partition, offset: BigInt(offset) }],
})

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (reason: Error) => void } {
  let settle: { resolve: () => void; reject: (reason: Error) => void } | undefined
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }))
  return { promise, resolve: () => settle?.resolve(), reject: (reason) => settle?.reject(reason) }
}

const meanings: ReadonlyMap<ErrorCode, Says> = new Map([
  ['KAFKA_FENCED', 'fenced'],
  ['KAFKA_TRANSACTION_TIMED_OUT', 'transaction-timed-out'],
  ['KAFKA_TRANSACTION_TORN', 'torn'],
  ['KAFKA_RECORD_TOO_LARGE', 'too-large'],
])

function saysOf(error: OutboxError): Says {
  if (error instanceof KafkaFailure && error.outcome === 'unknown') return 'no-answer'
  return meanings.get(error.code) ?? 'refused'
}
