import type { Reader } from '../wire/reader.js'
import type { Api } from './api.js'
import type { TransactionVersion } from './transaction-version.js'

export interface EndTxnRequest {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly committed: boolean
}

export interface EndTxnAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  /** For the next transaction; another id than before when the epochs of the old one are used up. Version 1 has none. */
  readonly next: { readonly producerId: bigint; readonly producerEpoch: number } | undefined
}

const ofVersion = (version: number, readNext: (reader: Reader) => EndTxnAnswer['next']) =>
  ({
    name: 'EndTxn',
    key: 26,
    version,
    needs: { 'transactional-id': 'Write' },
    encode: (writer, request) => {
      writer.compactString(request.transactionalId).int64(request.producerId).int16(request.producerEpoch)
      writer.boolean(request.committed).noTags()
    },
    decode: (reader) => {
      const answer = { throttleMs: reader.int32(), errorCode: reader.int16(), next: readNext(reader) }
      reader.tags()
      return answer
    },
  }) satisfies Api<EndTxnRequest, EndTxnAnswer>

/**
 * By transaction version. EndTxn 5 ends the transaction and raises the epoch, so that nothing of it can reach the next
 * one (KIP-890, part 2). After EndTxn 4 the epoch stays, and has to be raised by InitProducerId before the next.
 */
export const endTxn: Readonly<Record<TransactionVersion, Api<EndTxnRequest, EndTxnAnswer>>> = {
  1: ofVersion(4, () => undefined),
  2: ofVersion(5, (reader) => ({ producerId: reader.int64(), producerEpoch: reader.int16() })),
}
