import { connectKafka, readPartition, type KafkaClient } from '@oncebox/kafka'
import { envelopeHeaders } from '@oncebox/core'
import { Kafka, logLevel, type Producer } from 'kafkajs'

export interface Sent {
  readonly id: string
  readonly key: string
  /** Rises with each event: the order of a key's events. */
  readonly value: number
  /** When it was emitted: the same each time it is published. */
  readonly time: string
}

/** Publishes events as a relay would, and looks at topics of one partition. */
export class Publisher implements AsyncDisposable {
  readonly #producer: Producer
  readonly #client: KafkaClient

  private constructor(producer: Producer, client: KafkaClient) {
    this.#producer = producer
    this.#client = client
  }

  static async connect(brokers: readonly string[]): Promise<Publisher> {
    const kafka = new Kafka({ clientId: 'chaos', brokers: [...brokers], logLevel: logLevel.NOTHING })
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    return new Publisher(producer, await connectKafka({ brokers: [...brokers] }))
  }

  async publish(topic: string, events: readonly Sent[]): Promise<void> {
    await this.#producer.send({
      topic,
      messages: events.map(({ id, key, value, time }) => ({
        key,
        value: JSON.stringify({ orderId: key, value }),
        headers: {
          [envelopeHeaders.specVersion]: '1.0',
          [envelopeHeaders.id]: id,
          [envelopeHeaders.type]: 'order.placed',
          [envelopeHeaders.source]: 'chaos',
          [envelopeHeaders.time]: time,
          [envelopeHeaders.contentType]: 'application/json',
        },
      })),
    })
  }

  /** What is committed in a topic of one partition. */
  async read<Value>(topic: string): Promise<Value[]> {
    const values: Value[] = []
    for await (const { value } of readPartition(this.#client, { topic, partition: 0 }))
      values.push(JSON.parse(String(value)) as Value) // the caller names what was written
    return values
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#producer.disconnect(), this.#client.close()])
  }
}
