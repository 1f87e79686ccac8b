import { createRequire } from 'node:module'
import type { TopicMessages } from './kafkajs-messages.js'

/**
 * What is used of @confluentinc/kafka-javascript, by hand: it is no dependency (see `clients/confluent-build.ts`), so its
 * own types are not here.
 */
export interface ConfluentApi {
  readonly KafkaJS: { readonly Kafka: new () => ConfluentKafka }
}

export interface ConfluentKafka {
  producer(config: Readonly<Record<string, unknown>>): ConfluentProducer
  consumer(config: Readonly<Record<string, unknown>>): ConfluentConsumer
}

export interface ConfluentProducer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  transaction(): Promise<ConfluentProducer>
  sendBatch(batch: { topicMessages: readonly TopicMessages[] }): Promise<unknown>
  sendOffsets(offsets: {
    consumer: ConfluentConsumer
    topics: readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[]
  }): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
}

export interface ConfluentConsumer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  subscribe(options: { topics: readonly string[] }): Promise<void>
  run(options: {
    eachMessage: (payload: {
      partition: number
      message: { offset: string; value: Buffer | null }
    }) => Promise<void>
  }): Promise<void>
  committed(
    partitions: readonly { topic: string; partition: number }[],
    timeoutMs: number,
  ): Promise<readonly { offset: string | null }[]>
}

export interface ConfluentError extends Error {
  readonly code?: number
  readonly type?: string
  readonly retriable?: boolean
}

/** From the folder that the suite names. */
export function loadConfluent(): ConfluentApi {
  const directory = process.env['CONFORMANCE_CONFLUENT']
  if (directory === undefined)
    throw new Error('CONFORMANCE_CONFLUENT is not set: drivers are started by pnpm conformance')
  // The interface above is read from its documentation and its index.d.ts.
  return createRequire(import.meta.url)(directory) as ConfluentApi
}
