import { connectKafka, type KafkaClient, type KafkaOptions } from '@oncebox/kafka'
import type { Admin, Kafka } from 'kafkajs'

/** What a consumer asks the cluster besides records: ids of topics, and what their logs hold. A port. */
export interface ClusterFacts {
  /** The id of the topic that has this name now. */
  topicId(topic: string): Promise<string>
  /** The first offset that is still there, and the end of what read_committed readers may see. */
  logRanges(topic: string): Promise<ReadonlyMap<number, LogRange>>
  close(): Promise<void>
}

export interface LogRange {
  readonly low: bigint
  readonly high: bigint
}

/** Connected when it is first needed: topic ids need a newer protocol than kafkajs speaks, log ranges do not. */
export function clusterFacts(kafka: Kafka, options: KafkaOptions): ClusterFacts {
  const admin = kafka.admin()
  const adminConnection = once<Admin>(async () => {
    await admin.connect()
    return admin
  })
  const clientConnection = once<KafkaClient>(() => connectKafka(options))
  return {
    topicId: async (topic) =>
      (await (await clientConnection.open()).describeTopic(topic, { refresh: true })).topicId,
    logRanges: async (topic) => {
      const offsets = await (await adminConnection.open()).fetchTopicOffsets(topic)
      return new Map(
        offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]),
      )
    },
    close: async () => {
      await (await clientConnection.opened())?.close()
      await (await adminConnection.opened())?.disconnect()
    },
  }
}

interface Once<Connection> {
  open(): Promise<Connection>
  /** What was opened, if anything was. */
  opened(): Promise<Connection | undefined>
}

/** Opens one connection for all who ask; one that failed is tried again by the next. */
function once<Connection>(connect: () => Promise<Connection>): Once<Connection> {
  let connection: Promise<Connection> | undefined
  return {
    open() {
      connection ??= connect().catch((error: unknown) => {
        connection = undefined
        throw error
      })
      return connection
    },
    opened: async () => connection?.catch(() => undefined),
  }
}
