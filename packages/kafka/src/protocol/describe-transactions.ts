import type { Api } from './api.js'

export interface DescribeTransactionsAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  /** Kafka's name of the state, for example `Ongoing` or `CompleteAbort`. */
  readonly state: string
  readonly producerId: bigint
  readonly producerEpoch: number
}

const unknownServerError = -1

/** DescribeTransactions 0 (KIP-664) of one transactional id, asked of its coordinator. Changes nothing. */
export const describeTransactions: Api<{ readonly transactionalId: string }, DescribeTransactionsAnswer> = {
  name: 'DescribeTransactions',
  key: 65,
  version: 0,
  needs: { 'transactional-id': 'Describe' },
  encode: (writer, request) => {
    writer.compactArray([request.transactionalId], (id) => writer.compactString(id)).noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const [found] = reader.compactArray(() => {
      const errorCode = reader.int16()
      reader.compactString() // transactional id
      const state = reader.compactString()
      reader.int32() // timeout
      reader.int64() // start
      const producerId = reader.int64()
      const producerEpoch = reader.int16()
      reader.compactArray(() => {
        reader.compactString() // topic
        reader.compactArray(() => reader.int32())
        reader.tags()
      })
      reader.tags()
      return { errorCode, state, producerId, producerEpoch }
    })
    reader.tags()
    const nothing = { errorCode: unknownServerError, state: '', producerId: -1n, producerEpoch: -1 }
    return { throttleMs, ...(found ?? nothing) }
  },
}
