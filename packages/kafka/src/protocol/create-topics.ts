import type { Api } from './api.js'

export interface CreateTopicsRequest {
  readonly topic: string
  readonly partitions: number
  /** -1: the broker's default. */
  readonly replicationFactor: number
  readonly configs: readonly (readonly [name: string, value: string])[]
  readonly timeoutMs: number
}

export interface CreateTopicsAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

const unknownServerError = -1

/** CreateTopics 7 for one topic. Any broker forwards it to the controller. */
export const createTopics: Api<CreateTopicsRequest, CreateTopicsAnswer> = {
  name: 'CreateTopics',
  key: 19,
  version: 7,
  needs: { topic: 'Create', cluster: 'Create' },
  encode: (writer, request) => {
    writer.compactArray([request.topic], (topic) => {
      writer.compactString(topic).int32(request.partitions).int16(request.replicationFactor)
      writer.compactArray([], () => undefined) // no manual assignment
      writer.compactArray(request.configs, ([name, value]) =>
        writer.compactString(name).compactString(value).noTags(),
      )
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
      reader.uuid()
      errorCode = reader.int16()
      errorMessage = reader.compactNullableString()
      reader.int32() // partitions
      reader.int16() // replication factor
      reader.compactArray(() => {
        reader.compactString()
        reader.compactNullableString()
        reader.boolean()
        reader.int8()
        reader.boolean()
        reader.tags()
      })
      reader.tags()
    })
    reader.tags()
    return { throttleMs, errorCode, errorMessage }
  },
}
