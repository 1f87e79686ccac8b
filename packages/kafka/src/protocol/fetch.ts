import type { Api } from './api.js'

export interface FetchRequest {
  readonly topicId: string
  readonly partition: number
  readonly fetchOffset: bigint
  readonly maxWaitMs: number
  /** The broker returns at least one batch, however large. */
  readonly maxBytes: number
}

export interface FetchAnswer {
  readonly throttleMs: number
  readonly errorCode: number
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

const readCommitted = 1
const empty = Buffer.alloc(0)

/**
 * Fetch 13 of one partition, read_committed, without a fetch session. By topic id: a topic that was deleted and
 * created again under the same name answers UNKNOWN_TOPIC_ID instead of other people's records.
 */
export const fetch: Api<FetchRequest, FetchAnswer> = {
  name: 'Fetch',
  key: 1,
  version: 13,
  needs: { topic: 'Read' },
  encode: (writer, request) => {
    writer.int32(-1).int32(request.maxWaitMs).int32(1).int32(request.maxBytes).int8(readCommitted)
    writer.int32(0).int32(-1) // no fetch session
    writer.compactArray([request.topicId], (topicId) => {
      writer.uuid(topicId)
      writer.compactArray([request.partition], (partition) => {
        writer.int32(partition).int32(-1).int64(request.fetchOffset).int32(-1).int64(-1n)
        writer.int32(request.maxBytes).noTags()
      })
      writer.noTags()
    })
    writer.compactArray([], () => undefined) // nothing to forget
    writer.compactString('').noTags() // no rack
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const errorCode = reader.int16()
    reader.int32() // session id
    let answer: Omit<FetchAnswer, 'throttleMs'> = {
      errorCode,
      lastStableOffset: -1n,
      logStartOffset: -1n,
      aborted: [],
      records: empty,
    }
    reader.compactArray(() => {
      reader.uuid()
      reader.compactArray(() => {
        reader.int32() // partition
        const partitionErrorCode = reader.int16()
        reader.int64() // high watermark
        const lastStableOffset = reader.int64()
        const logStartOffset = reader.int64()
        const aborted = reader.compactArray(() => {
          const transaction = { producerId: reader.int64(), firstOffset: reader.int64() }
          reader.tags()
          return transaction
        })
        reader.int32() // preferred read replica
        const records = reader.compactBytes()
        reader.tags()
        answer = {
          errorCode: errorCode || partitionErrorCode,
          lastStableOffset,
          logStartOffset,
          aborted,
          records,
        }
      })
      reader.tags()
    })
    reader.tags()
    return { throttleMs, ...answer }
  },
}
