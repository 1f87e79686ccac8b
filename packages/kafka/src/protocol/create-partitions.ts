import type { Api } from './api.js'

export interface CreatePartitionsRequest {
  readonly topic: string
  /** How many the topic is to have in all. */
  readonly partitions: number
  readonly timeoutMs: number
}

export interface CreatePartitionsAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

const unknownServerError = -1

/** CreatePartitions 3 for one topic. Any broker forwards it to the controller. */
export const createPartitions: Api<CreatePartitionsRequest, CreatePartitionsAnswer> = {
  name: 'CreatePartitions',
  key: 37,
  version: 3,
  needs: { topic: 'Alter' },
  encode: (writer, request) => {
    writer.compactArray([request.topic], (topic) => {
      writer.compactString(topic).int32(request.partitions)
      writer.compactArray(null, () => undefined) // no manual assignment
      writer.noTags()
    })
    writer.int32(request.timeoutMs).boolean(false).noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    let errorCode = unknownServerError
    let errorMessage: string | null = null
    reader.compactArray(() => {
      reader.compactString() // topic
      errorCode = reader.int16()
      errorMessage = reader.compactNullableString()
      reader.tags()
    })
    reader.tags()
    return { throttleMs, errorCode, errorMessage }
  },
}
