import { OutboxError } from '@oncebox/core'
import { KafkaFailure } from '../kafka-failure.js'
import {
  authorizationFailed,
  describeCode,
  errorCode,
  fencing,
  topicNotReady,
} from '../protocol/error-codes.js'
import type { PartitionRecords } from '../records/partition-records.js'
import type { RecordBatch } from '../records/record-batch.js'
import type { Producer } from './producer.js'

/** One partition's batches on their way: those below `acked` are in the log. */
export interface Delivery {
  readonly records: PartitionRecords
  readonly batches: readonly RecordBatch[]
  readonly sealed: readonly Buffer[]
  acked: number
  baseOffset: bigint
  lastOffset: bigint
}

/** Where the records of one partition went. Another producer's records may lie between two batches. */
export interface Placement {
  readonly topic: string
  readonly partition: number
  readonly baseOffset: bigint
  readonly lastOffset: bigint
  readonly count: number
}

/** A partition that a broker refused, or whose batch could not be sent. */
export interface Refusal {
  readonly topic: string
  readonly partition: number
  readonly code: number
  readonly message: string | null
}

/** The refusal of a partition of the transaction. */
export const refusalOf = (
  { topic, partition }: PartitionRecords,
  code: number,
  message: string | null,
): Refusal => ({ topic, partition, code, message })

export function startDelivery(records: PartitionRecords, producer: Producer): Delivery {
  const batches = records.takeBatches()
  let sequence = 0 // EndTxn 5 raises the epoch, and sequences start again with each epoch
  const sealed = batches.map((batch) => {
    const bytes = batch.seal(producer.producerId, producer.producerEpoch, sequence)
    sequence += batch.count
    return bytes
  })
  return { records, batches, sealed, acked: 0, baseOffset: -1n, lastOffset: -1n }
}

export const placement = ({ records, baseOffset, lastOffset }: Delivery): Placement => ({
  topic: records.topic,
  partition: records.partition,
  baseOffset,
  lastOffset,
  count: records.count,
})

/** The broker's answer to one batch. */
export interface ProduceResult {
  readonly code: number
  readonly baseOffset: bigint
  readonly message: string | null
}

/** Moves each partition on to its first refused batch; refusals that a retry can cure are returned. */
export function applyResults(results: ReadonlyMap<Delivery, ReadonlyMap<number, ProduceResult>>): Refusal[] {
  const refusals: Refusal[] = []
  for (const [delivery, byIndex] of results) {
    for (
      let result = byIndex.get(delivery.acked);
      result !== undefined;
      result = byIndex.get(delivery.acked)
    ) {
      const { code, message } = result
      if (code !== errorCode.NONE) {
        const refusal = refusalOf(delivery.records, code, message)
        if (code !== errorCode.CONCURRENT_TRANSACTIONS && !topicNotReady.has(code))
          throw refusedForGood(refusal)
        // The batches behind it were refused for their sequence numbers (45), as none of them may overtake it.
        if (
          [...byIndex].some(([index, { code: later }]) => index > delivery.acked && later === errorCode.NONE)
        ) {
          throw new OutboxError(
            'KAFKA_PROTOCOL',
            `${nameOf(refusal)}: a batch was appended behind one that was refused with ${describeCode(code)}`,
          )
        }
        refusals.push(refusal)
        break
      }
      if (delivery.acked === 0) delivery.baseOffset = result.baseOffset
      const count = delivery.batches[delivery.acked]?.count ?? 0
      delivery.lastOffset = result.baseOffset + BigInt(count) - 1n
      delivery.acked++
    }
  }
  return refusals
}

const nameOf = ({ topic, partition }: Refusal): string => `${topic}-${partition}`

const messageOf = (refusal: Refusal): string =>
  `${nameOf(refusal)}: ${describeCode(refusal.code)}${refusal.message === null ? '' : `: ${refusal.message}`}`

const detailsOf = ({ topic, partition, code }: Refusal) => ({ topic, partition, code })

/** What a retry could have cured, when the time for retries is over. */
export const topicRefused = (refusal: Refusal): TransactionRefused =>
  new TransactionRefused('KAFKA_TOPIC_UNAVAILABLE', messageOf(refusal), { details: detailsOf(refusal) })

// Which codes leave the producer usable: the broker looked at the batch and refused its content before any state changed.
const contentRefused: ReadonlySet<number> = new Set([
  errorCode.MESSAGE_TOO_LARGE,
  errorCode.RECORD_LIST_TOO_LARGE,
  errorCode.INVALID_RECORD,
  errorCode.INVALID_TIMESTAMP,
])
const tooLarge: ReadonlySet<number> = new Set([errorCode.MESSAGE_TOO_LARGE, errorCode.RECORD_LIST_TOO_LARGE])

/** What no retry cures: content that is refused leaves the session usable, anything else does not. */
export function refusedForGood(refusal: Refusal): OutboxError {
  const { code } = refusal
  const message = messageOf(refusal)
  const details = detailsOf(refusal)
  if (fencing.has(code)) return new KafkaFailure('KAFKA_FENCED', 'fenced', message, { details })
  if (authorizationFailed.has(code))
    return new KafkaFailure('KAFKA_AUTHORIZATION_FAILED', 'not-committed', message, { details })
  if (!contentRefused.has(code))
    return new KafkaFailure('KAFKA_TRANSACTION_NOT_COMMITTED', 'not-committed', message, { details })
  return new TransactionRefused(
    tooLarge.has(code) ? 'KAFKA_RECORD_TOO_LARGE' : 'KAFKA_RECORD_REFUSED',
    message,
    { details },
  )
}

/** Thrown when every request was answered and something stays refused: the transaction can be aborted cleanly. */
export class TransactionRefused extends OutboxError {}
