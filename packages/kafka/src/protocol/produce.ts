import type { Api } from './api.js'
import type { TransactionVersion } from './transaction-version.js'

export interface ProduceRequest {
  readonly transactionalId: string
  /** How long the leader waits for its followers. */
  readonly timeoutMs: number
  readonly topics: readonly {
    readonly name: string
    /** One sealed record batch per partition: the broker refuses more. */
    readonly partitions: readonly { readonly index: number; readonly batch: Uint8Array }[]
  }[]
}

export interface ProduceAnswer {
  readonly throttleMs: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly index: number
      readonly errorCode: number
      readonly baseOffset: bigint
      readonly errorMessage: string | null
    }[]
  }[]
}

const acksAll = -1

const ofVersion = (version: number): Api<ProduceRequest, ProduceAnswer> => ({
  name: 'Produce',
  key: 0,
  version,
  needs: { 'transactional-id': 'Write', topic: 'Write' },
  encode: (writer, request) => {
    writer.compactString(request.transactionalId).int16(acksAll).int32(request.timeoutMs)
    writer.compactArray(request.topics, (topic) => {
      writer.compactString(topic.name)
      writer.compactArray(topic.partitions, (partition) => {
        writer.int32(partition.index).compactRecords(partition.batch).noTags()
      })
      writer.noTags()
    })
    writer.noTags()
  },
  decode: (reader) => {
    const topics = reader.compactArray(() => {
      const name = reader.compactString()
      const partitions = reader.compactArray(() => {
        const index = reader.int32()
        const errorCode = reader.int16()
        const baseOffset = reader.int64()
        reader.int64() // log append time
        reader.int64() // log start offset
        reader.compactArray(() => {
          reader.int32() // index of a refused record: an idempotent batch is refused as a whole
          reader.compactNullableString()
          reader.tags()
        })
        const errorMessage = reader.compactNullableString()
        reader.tags()
        return { index, errorCode, baseOffset, errorMessage }
      })
      reader.tags()
      return { name, partitions }
    })
    const throttleMs = reader.int32()
    reader.tags()
    return { topics, throttleMs }
  },
})

/**
 * By transaction version. Produce 12 is the version by which the broker adds the partitions to the transaction by
 * itself (KIP-890, part 2); with 11 they were added before.
 */
export const produce: Readonly<Record<TransactionVersion, Api<ProduceRequest, ProduceAnswer>>> = {
  1: ofVersion(11),
  2: ofVersion(12),
}
