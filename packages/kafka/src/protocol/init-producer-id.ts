import type { Api } from './api.js'

export interface InitProducerIdRequest {
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  /**
   * The id and epoch that the sender holds (KIP-360): refused with PRODUCER_FENCED when somebody else has the
   * transactional id by now. Without: fences whoever holds it. Only a start may do that; from a zombie it would fence
   * the rightful holder.
   */
  readonly held: { readonly producerId: bigint; readonly producerEpoch: number } | undefined
}

export interface InitProducerIdAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** InitProducerId 5: raises the epoch of a transactional id, and ends the transaction that is open. */
export const initProducerId: Api<InitProducerIdRequest, InitProducerIdAnswer> = {
  name: 'InitProducerId',
  key: 22,
  version: 5,
  needs: { 'transactional-id': 'Write' },
  encode: (writer, { transactionalId, transactionTimeoutMs, held }) => {
    writer.compactString(transactionalId).int32(transactionTimeoutMs)
    writer
      .int64(held?.producerId ?? -1n)
      .int16(held?.producerEpoch ?? -1)
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
