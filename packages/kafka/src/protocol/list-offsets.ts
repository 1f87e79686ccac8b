import type { Api } from './api.js'

export interface ListOffsetsRequest {
  readonly topic: string
  readonly partition: number
  /** `read-committed` turns `latest` into the last stable offset. */
  readonly isolation: 'read-committed' | 'read-uncommitted'
  readonly position: 'earliest' | 'latest'
}

export interface ListOffsetsAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly offset: bigint
}

const unknownServerError = -1

/** ListOffsets 7 for one partition: its first offset, its last stable offset or its high watermark. */
export const listOffsets: Api<ListOffsetsRequest, ListOffsetsAnswer> = {
  name: 'ListOffsets',
  key: 2,
  version: 7,
  needs: { topic: 'Describe' },
  encode: (writer, request) => {
    writer.int32(-1).int8(request.isolation === 'read-committed' ? 1 : 0) // not a replica
    writer.compactArray([request.topic], (topic) => {
      writer.compactString(topic)
      writer.compactArray([request.partition], (partition) => {
        writer.int32(partition).int32(-1) // any leader epoch
        writer.int64(request.position === 'earliest' ? -2n : -1n).noTags()
      })
      writer.noTags()
    })
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    let errorCode = unknownServerError
    let offset = -1n
    reader.compactArray(() => {
      reader.compactString() // topic
      reader.compactArray(() => {
        reader.int32() // partition
        errorCode = reader.int16()
        reader.int64() // timestamp
        offset = reader.int64()
        reader.int32() // leader epoch
        reader.tags()
      })
      reader.tags()
    })
    reader.tags()
    return { throttleMs, errorCode, offset }
  },
}
