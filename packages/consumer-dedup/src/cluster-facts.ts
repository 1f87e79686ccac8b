import { createHash } from 'node:crypto'
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

/** On kafkajs's admin client, connected when it is first needed. */
export function clusterFacts(kafka: Kafka): ClusterFacts {
  const admin = kafka.admin()
  let connected: Promise<Admin> | undefined
  const connect = (): Promise<Admin> => {
    connected ??= admin.connect().then(
      () => admin,
      (error: unknown) => {
        connected = undefined
        throw error
      },
    )
    return connected
  }
  return {
    topicId: async (topic) => {
      const hex = createHash('sha256').update(topic).digest('hex')
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
    },
    logRanges: async (topic) => {
      const offsets = await (await connect()).fetchTopicOffsets(topic)
      return new Map(offsets.map(({ partition, low, high }) => [partition, { low: BigInt(low), high: BigInt(high) }]))
    },
    close: async () => {
      await connected?.catch(() => undefined)
      await admin.disconnect()
    },
  }
}
