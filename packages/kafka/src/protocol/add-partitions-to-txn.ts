import type { Api } from './api.js'

export interface AddPartitionsToTxnRequest {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly topics: readonly { readonly name: string; readonly partitions: readonly number[] }[]
}

export interface AddPartitionsToTxnAnswer {
  readonly throttleMs: number
  readonly partitions: readonly {
    readonly topic: string
    readonly partition: number
    /** OPERATION_NOT_ATTEMPTED when another partition of the request was refused: all or none are added. */
    readonly errorCode: number
  }[]
}

/**
 * AddPartitionsToTxn 3, which transactions of version 1 send before their first Produce to a partition. Higher
 * versions are for brokers among themselves and need CLUSTER_ACTION.
 */
export const addPartitionsToTxn: Api<AddPartitionsToTxnRequest, AddPartitionsToTxnAnswer> = {
  name: 'AddPartitionsToTxn',
  key: 24,
  version: 3,
  needs: { 'transactional-id': 'Write', topic: 'Write' },
  encode: (writer, request) => {
    writer.compactString(request.transactionalId).int64(request.producerId).int16(request.producerEpoch)
    writer.compactArray(request.topics, ({ name, partitions }) => {
      writer.compactString(name)
      writer.compactArray(partitions, (partition) => writer.int32(partition))
      writer.noTags()
    })
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const partitions = reader.compactArray(() => {
      const topic = reader.compactString()
      const results = reader.compactArray(() => {
        const result = { topic, partition: reader.int32(), errorCode: reader.int16() }
        reader.tags()
        return result
      })
      reader.tags()
      return results
    })
    reader.tags()
    return { throttleMs, partitions: partitions.flat() }
  },
}
