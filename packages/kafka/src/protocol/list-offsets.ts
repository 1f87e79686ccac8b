import type { Api } from './api.js'

export interface ListOffsetsRequest {
  readonly topic: string
  readonly partitions: readonly number[]
  /** `read-committed` turns `latest` into the last stable offset. */
  readonly isolation: 'read-committed' | 'read-uncommitted'
  /** A number is a time: the first offset whose record is not older, -1 when there is none. */
  readonly position: 'earliest' | 'latest' | number
}

export interface ListOffsetsAnswer {
  readonly throttleMs: number
  readonly partitions: readonly {
    readonly index: number
    readonly errorCode: number
    readonly offset: bigint
  }[]
}

/** ListOffsets 7 for partitions of one topic: their first offsets, last stable offsets or high watermarks. */
export const listOffsets: Api<ListOffsetsRequest, ListOffsetsAnswer> = {
  name: 'ListOffsets',
  key: 2,
  version: 7,
  needs: { topic: 'Describe' },
  encode: (writer, request) => {
    writer.int32(-1).int8(request.isolation === 'read-committed' ? 1 : 0) // not a replica
    writer.compactArray([request.topic], (topic) => {
      writer.compactString(topic)
      writer.compactArray(request.partitions, (partition) => {
        writer.int32(partition).int32(-1) // any leader epoch
        writer.int64(timestampOf(request.position)).noTags()
      })
      writer.noTags()
    })
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const topics = reader.compactArray(() => {
      reader.compactString() // topic
      const partitions = reader.compactArray(() => {
        const index = reader.int32()
        const errorCode = reader.int16()
        reader.int64() // timestamp
        const offset = reader.int64()
        reader.int32() // leader epoch
        reader.tags()
        return { index, errorCode, offset }
      })
      reader.tags()
      return partitions
    })
    reader.tags()
    return { throttleMs, partitions: topics.flat() }
  },
}

const timestampOf = (position: ListOffsetsRequest['position']): bigint =>
  typeof position === 'number' ? BigInt(position) : position === 'earliest' ? -2n : -1n
