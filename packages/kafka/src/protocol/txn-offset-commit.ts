import type { Api } from './api.js'
import type { TransactionVersion } from './transaction-version.js'

export interface TxnOffsetCommitRequest {
  readonly transactionalId: string
  readonly groupId: string
  readonly producerId: bigint
  readonly producerEpoch: number
  /** Generation and member fence a consumer that has lost its partitions (KIP-447). */
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partition: number
      readonly offset: bigint
      readonly leaderEpoch: number
      readonly metadata: string | null
    }[]
  }[]
}

export interface TxnOffsetCommitAnswer {
  readonly throttleMs: number
  readonly partitions: readonly {
    readonly topic: string
    readonly partition: number
    readonly errorCode: number
  }[]
}

const ofVersion = (version: number): Api<TxnOffsetCommitRequest, TxnOffsetCommitAnswer> => ({
  name: 'TxnOffsetCommit',
  key: 28,
  version,
  needs: { 'transactional-id': 'Write', group: 'Read', topic: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.transactionalId).compactString(request.groupId)
    writer.int64(request.producerId).int16(request.producerEpoch)
    writer.int32(request.generationId).compactString(request.memberId).compactString(request.groupInstanceId)
    writer.compactArray(request.topics, ({ name, partitions }) => {
      writer.compactString(name)
      writer.compactArray(partitions, ({ partition, offset, leaderEpoch, metadata }) => {
        writer.int32(partition).int64(offset).int32(leaderEpoch).compactString(metadata).noTags()
      })
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
})

/**
 * Offsets of a consumer group inside a transaction, by transaction version: with 5 the group's coordinator adds itself
 * to the transaction (KIP-890, part 2); with 4 AddOffsetsToTxn has done that before.
 */
export const txnOffsetCommit: Readonly<
  Record<TransactionVersion, Api<TxnOffsetCommitRequest, TxnOffsetCommitAnswer>>
> = { 1: ofVersion(4), 2: ofVersion(5) }
