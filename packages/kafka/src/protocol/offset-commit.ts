import type { Api } from './api.js'

export interface OffsetCommitRequest {
  readonly groupId: string
  /** -1 and an empty member id: from outside, which the coordinator takes only while the group has no members. */
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly index: number
      readonly offset: bigint
      readonly metadata: string | null
    }[]
  }[]
}

export interface OffsetCommitAnswer {
  readonly throttleMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly index: number; readonly errorCode: number }[]
  }[]
}

/** OffsetCommit 8. The coordinator refuses a generation that is over, and a member that it has given up. */
export const offsetCommit: Api<OffsetCommitRequest, OffsetCommitAnswer> = {
  name: 'OffsetCommit',
  key: 8,
  version: 8,
  needs: { group: 'Read', topic: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.groupId).int32(request.generationId).compactString(request.memberId)
    writer.compactString(request.groupInstanceId)
    writer.compactArray(request.topics, (topic) => {
      writer.compactString(topic.name)
      writer.compactArray(topic.partitions, ({ index, offset, metadata }) =>
        writer.int32(index).int64(offset).int32(-1).compactString(metadata).noTags(),
      )
      writer.noTags()
    })
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const topics = reader.compactArray(() => {
      const name = reader.compactString()
      const partitions = reader.compactArray(() => {
        const partition = { index: reader.int32(), errorCode: reader.int16() }
        reader.tags()
        return partition
      })
      reader.tags()
      return { name, partitions }
    })
    reader.tags()
    return { throttleMs, topics }
  },
}
