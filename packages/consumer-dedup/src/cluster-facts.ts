import { connectKafka, type KafkaClient, type KafkaOptions, type TopicIdentity } from '@oncebox/kafka'
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
  const client = new Once<KafkaClient>(() => connectKafka(options))
  const newAdmin = (): Once<Admin> =>
    new Once(async () => {
      const admin = kafka.admin()
      await admin.connect()
      return admin
    })
  let admin = newAdmin()
  const identify = async (topic: string): Promise<TopicIdentity> =>
    (await client.open()).identifyTopic(topic, { refresh: true })
  return {
    topicId: async (topic) => (await identify(topic)).topicId,
    logRanges: async (topic) => {
      let offsets = await (await admin.open()).fetchTopicOffsets(topic)
      // kafkajs's admin client remembers the partitions of a topic for five minutes; a new one asks again.
      if (offsets.length !== (await identify(topic)).partitions) {
        await (await admin.opened())?.disconnect()
        admin = newAdmin()
        offsets = await (await admin.open()).fetchTopicOffsets(topic)
      }
      return new Map(
        offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]),
      )
    },
    close: async () => {
      await (await client.opened())?.close()
      await (await admin.opened())?.disconnect()
    },
  }
}

/** Opens one connection for all who ask; one that failed is tried again by the next. */
class Once<Connection> {
  readonly #connect: () => Promise<Connection>
  #connection: Promise<Connection> | undefined

  constructor(connect: () => Promise<Connection>) {
    this.#connect = connect
  }

  open(): Promise<Connection> {
    this.#connection ??= this.#connect().catch((error: unknown) => {
      this.#connection = undefined
      throw error
    })
    return this.#connection
  }

  /** What was opened, if anything was. */
  async opened(): Promise<Connection | undefined> {
    return this.#connection?.catch(() => undefined)
  }
}
