import type { Api } from './api.js'

export interface AddOffsetsToTxnRequest {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly groupId: string
}

export interface AddOffsetsToTxnAnswer {
  readonly throttleMs: number
  readonly errorCode: number
}

/** AddOffsetsToTxn 3, which transactions of version 1 send to their coordinator before offsets of a group. */
export const addOffsetsToTxn: Api<AddOffsetsToTxnRequest, AddOffsetsToTxnAnswer> = {
  name: 'AddOffsetsToTxn',
  key: 25,
  version: 3,
  needs: { 'transactional-id': 'Write', group: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.transactionalId).int64(request.producerId).int16(request.producerEpoch)
    writer.compactString(request.groupId).noTags()
  },
  decode: (reader) => {
    const answer = { throttleMs: reader.int32(), errorCode: reader.int16() }
    reader.tags()
    return answer
  },
}
