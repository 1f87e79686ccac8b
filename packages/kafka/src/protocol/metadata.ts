import type { Api } from './api.js'

export interface MetadataAnswer {
  readonly throttleMs: number
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[]
  readonly clusterId: string | null
  readonly topics: readonly MetadataTopic[]
}

interface MetadataTopic {
  readonly errorCode: number
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
  readonly partitions: readonly {
    readonly errorCode: number
    readonly index: number
    readonly leaderId: number
    /** Ids of the brokers that keep it, and of those of them that are in sync. */
    readonly replicas: readonly number[]
    readonly inSync: readonly number[]
  }[]
}

const zeroUuid = '00000000-0000-0000-0000-000000000000'

/** Metadata 12: brokers, cluster id, and of each named topic, or of all that may be seen (null), its id, partitions and leaders. Never creates a topic. */
export const metadata: Api<{ readonly topics: readonly string[] | null }, MetadataAnswer> = {
  name: 'Metadata',
  key: 3,
  version: 12,
  needs: { topic: 'Describe' },
  encode: (writer, request) => {
    writer.compactArray(request.topics, (name) => writer.uuid(zeroUuid).compactString(name).noTags())
    writer.boolean(false).boolean(false).noTags() // no auto-creation, no authorized operations
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const brokers = reader.compactArray(() => {
      const broker = { nodeId: reader.int32(), host: reader.compactString(), port: reader.int32() }
      reader.compactNullableString() // rack
      reader.tags()
      return broker
    })
    const clusterId = reader.compactNullableString()
    reader.int32() // controller
    const topics = reader.compactArray(() => {
      const errorCode = reader.int16()
      const name = reader.compactString()
      const topicId = reader.uuid()
      const isInternal = reader.boolean()
      const partitions = reader.compactArray(() => {
        const led = { errorCode: reader.int16(), index: reader.int32(), leaderId: reader.int32() }
        reader.int32() // leader epoch
        const replicas = reader.compactArray(() => reader.int32())
        const inSync = reader.compactArray(() => reader.int32())
        reader.compactArray(() => reader.int32()) // offline
        reader.tags()
        return { ...led, replicas, inSync }
      })
      reader.int32() // authorized operations
      reader.tags()
      return { errorCode, name, topicId, isInternal, partitions }
    })
    reader.tags()
    return { throttleMs, brokers, clusterId, topics }
  },
}
