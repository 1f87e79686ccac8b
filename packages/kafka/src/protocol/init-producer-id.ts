import type { Api } from './api.js'

export interface InitProducerIdAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly producerId: bigint
  readonly producerEpoch: number
}

/**
 * InitProducerId 5 without a producer id of our own (-1): fences whoever held the transactional id and ends the open
 * transaction. Only a start may send it: from a zombie it would fence the rightful holder.
 */
export const initProducerId: Api<
  { readonly transactionalId: string; readonly transactionTimeoutMs: number },
  InitProducerIdAnswer
> = {
  name: 'InitProducerId',
  key: 22,
  version: 5,
  encode: (writer, request) => {
    writer
      .compactString(request.transactionalId)
      .int32(request.transactionTimeoutMs)
      .int64(-1n)
      .int16(-1)
      .noTags()
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
