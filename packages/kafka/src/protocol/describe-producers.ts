import type { Api } from './api.js'

export interface ActiveProducer {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly lastTimestampMs: bigint
  /** First offset of its open transaction on the partition; -1 when it has none. */
  readonly transactionStartOffset: bigint
}

export interface DescribeProducersAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly producers: readonly ActiveProducer[]
}

const unknownServerError = -1

/** DescribeProducers 0 (KIP-664) for one partition, asked of its leader: who has a transaction open there. */
export const describeProducers: Api<
  { readonly topic: string; readonly partition: number },
  DescribeProducersAnswer
> = {
  name: 'DescribeProducers',
  key: 61,
  version: 0,
  needs: { topic: 'Read' },
  encode: (writer, request) => {
    writer.compactArray([request.topic], (topic) => {
      writer.compactString(topic)
      writer.compactArray([request.partition], (partition) => writer.int32(partition))
      writer.noTags()
    })
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    let errorCode = unknownServerError
    let producers: ActiveProducer[] = []
    reader.compactArray(() => {
      reader.compactString() // topic
      reader.compactArray(() => {
        reader.int32() // partition
        errorCode = reader.int16()
        reader.compactNullableString() // error message
        producers = reader.compactArray(() => {
          const producerId = reader.int64()
          const producerEpoch = reader.int32()
          reader.int32() // last sequence
          const lastTimestampMs = reader.int64()
          reader.int32() // coordinator epoch
          const transactionStartOffset = reader.int64()
          reader.tags()
          return { producerId, producerEpoch, lastTimestampMs, transactionStartOffset }
        })
        reader.tags()
      })
      reader.tags()
    })
    reader.tags()
    return { throttleMs, errorCode, producers }
  },
}
