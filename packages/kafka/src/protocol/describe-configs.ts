import type { Api } from './api.js'

export interface DescribeConfigsAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly configs: ReadonlyMap<string, string | null>
}

const topicResource = 2
const unknownServerError = -1

/** DescribeConfigs 4 of one topic: the values in force, whether set on the topic or inherited from the broker. */
export const describeConfigs: Api<
  { readonly topic: string; readonly names: readonly string[] },
  DescribeConfigsAnswer
> = {
  name: 'DescribeConfigs',
  key: 32,
  version: 4,
  needs: { topic: 'DescribeConfigs' },
  encode: (writer, request) => {
    writer.compactArray([request.topic], (topic) => {
      writer.int8(topicResource).compactString(topic)
      writer.compactArray(request.names, (name) => writer.compactString(name))
      writer.noTags()
    })
    writer.boolean(false).boolean(false).noTags() // no synonyms, no documentation
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const configs = new Map<string, string | null>()
    let errorCode = unknownServerError
    reader.compactArray(() => {
      errorCode = reader.int16()
      reader.compactNullableString() // error message
      reader.int8() // resource type
      reader.compactString() // topic
      reader.compactArray(() => {
        configs.set(reader.compactString(), reader.compactNullableString())
        reader.boolean() // read only
        reader.int8() // source
        reader.boolean() // sensitive
        reader.compactArray(() => {
          reader.compactString()
          reader.compactNullableString()
          reader.int8()
          reader.tags()
        })
        reader.int8() // type
        reader.compactNullableString() // documentation
        reader.tags()
      })
      reader.tags()
    })
    reader.tags()
    return { throttleMs, errorCode, configs }
  },
}
