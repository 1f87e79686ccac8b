import type { Api } from './api.js'

export interface OffsetFetchRequest {
  readonly groupId: string
  /** Null: whatever the group has committed. */
  readonly topics: readonly { readonly name: string; readonly partitions: readonly number[] }[] | null
}

export interface OffsetFetchAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly index: number
      readonly errorCode: number
      /** -1: none. */
      readonly offset: bigint
      readonly metadata: string
    }[]
  }[]
}

/**
 * OffsetFetch 7, always with `require_stable`: an offset that an undecided transaction may still move is answered with
 * UNSTABLE_OFFSET_COMMIT. Without it, the old offset was read right after the commit of a transaction.
 */
export const offsetFetch: Api<OffsetFetchRequest, OffsetFetchAnswer> = {
  name: 'OffsetFetch',
  key: 9,
  version: 7,
  needs: { group: 'Describe', topic: 'Describe' },
  encode: (writer, request) => {
    writer.compactString(request.groupId)
    writer.compactArray(request.topics, (topic) => {
      writer.compactString(topic.name)
      writer.compactArray(topic.partitions, (partition) => writer.int32(partition))
      writer.noTags()
    })
    writer.boolean(true).noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const topics = reader.compactArray(() => {
      const name = reader.compactString()
      const partitions = reader.compactArray(() => {
        const index = reader.int32()
        const offset = reader.int64()
        reader.int32() // leader epoch
        const metadata = reader.compactString()
        const errorCode = reader.int16()
        reader.tags()
        return { index, errorCode, offset, metadata }
      })
      reader.tags()
      return { name, partitions }
    })
    const errorCode = reader.int16()
    reader.tags()
    return { throttleMs, errorCode, topics }
  },
}
