import type { Api } from './api.js'

export interface EndTxnRequest {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly committed: boolean
}

export interface EndTxnAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  /** For the next transaction; another one than before when the epochs of the old id are used up. */
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** EndTxn 5: ends the transaction and raises the epoch, so nothing of it can reach the next one (KIP-890, part 2). */
export const endTxn: Api<EndTxnRequest, EndTxnAnswer> = {
  name: 'EndTxn',
  key: 26,
  version: 5,
  encode: (writer, request) => {
    writer.compactString(request.transactionalId).int64(request.producerId).int16(request.producerEpoch)
    writer.boolean(request.committed).noTags()
  },
  decode: (reader) => {
    const answer = {
      throttleMs: reader.int32(),
      errorCode: reader.int16(),
      producerId: reader.int64(),
      producerEpoch: reader.int16(),
    }
    reader.tags()
    return answer
  },
}
