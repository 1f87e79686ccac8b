import type { Api } from './api.js'

export interface FetchRequest {
  /** How long the broker may wait for the first byte. */
  readonly maxWaitMs: number
  /** Of the whole answer. The broker returns at least one batch, however large, of the first partition that has one. */
  readonly maxBytes: number
  /** `read-committed` ends at the last stable offset and names the aborted transactions. */
  readonly isolation: 'read-committed' | 'read-uncommitted'
  readonly topics: readonly {
    readonly topicId: string
    readonly partitions: readonly {
      readonly index: number
      readonly fetchOffset: bigint
      readonly maxBytes: number
    }[]
  }[]
}

export interface FetchAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly topics: readonly {
    readonly topicId: string
    readonly partitions: readonly PartitionFetch[]
  }[]
}

/** What one Fetch brought of one partition. */
export interface PartitionFetch {
  readonly index: number
  readonly errorCode: number
  readonly highWatermark: bigint
  readonly lastStableOffset: bigint
  readonly logStartOffset: bigint
  /** Transactions that were aborted and overlap the answer; in the order of their aborts, not of their offsets. */
  readonly aborted: readonly AbortedTransaction[]
  /** Record batches, whole except perhaps the last; a view of the answer. */
  readonly records: Buffer
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

/**
 * Fetch 13, without a fetch session. By topic id: a topic that was deleted and created again under the
 * same name answers UNKNOWN_TOPIC_ID instead of other people's records.
 */
export const fetch: Api<FetchRequest, FetchAnswer> = {
  name: 'Fetch',
  key: 1,
  version: 13,
  needs: { topic: 'Read' },
  encode: (writer, request) => {
    writer.int32(-1).int32(request.maxWaitMs).int32(1).int32(request.maxBytes)
    writer.int8(request.isolation === 'read-committed' ? 1 : 0)
    writer.int32(0).int32(-1) // no fetch session
    writer.compactArray(request.topics, (topic) => {
      writer.uuid(topic.topicId)
      writer.compactArray(topic.partitions, ({ index, fetchOffset, maxBytes }) => {
        writer.int32(index).int32(-1).int64(fetchOffset).int32(-1).int64(-1n)
        writer.int32(maxBytes).noTags()
      })
      writer.noTags()
    })
    writer.compactArray([], () => undefined) // nothing to forget
    writer.compactString('').noTags() // no rack: always from the leader
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const errorCode = reader.int16()
    reader.int32() // session id
    const topics = reader.compactArray(() => {
      const topicId = reader.uuid()
      const partitions = reader.compactArray((): PartitionFetch => {
        const index = reader.int32()
        const partitionErrorCode = reader.int16()
        const highWatermark = reader.int64()
        const lastStableOffset = reader.int64()
        const logStartOffset = reader.int64()
        const aborted = reader.compactArray(() => {
          const transaction = { producerId: reader.int64(), firstOffset: reader.int64() }
          reader.tags()
          return transaction
        })
        reader.int32() // preferred read replica: none is named without a rack
        const records = reader.compactBytes()
        reader.tags()
        return {
          index,
          errorCode: partitionErrorCode,
          highWatermark,
          lastStableOffset,
          logStartOffset,
          aborted,
          records,
        }
      })
      reader.tags()
      return { topicId, partitions }
    })
    reader.tags()
    return { throttleMs, errorCode, topics }
  },
}
