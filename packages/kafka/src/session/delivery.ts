import { OutboxError } from '@oncebox/core'
import { KafkaFailure } from '../kafka-failure.js'
import { denialOf, type Denial } from '../protocol/denial.js'
import { describeCode, errorCode, fencing, topicNotReady } from '../protocol/error-codes.js'
import { produce } from '../protocol/produce.js'
import type { PartitionRecords } from '../records/partition-records.js'
import type { RecordBatch } from '../records/record-batch.js'
import type { Producer } from './producer.js'

/** One partition's batches on their way: those below `acked` are in the log. */
export interface Delivery {
  readonly records: PartitionRecords
  readonly transactionalId: string
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
  /** Of the transaction, where the refusal may concern that. */
  readonly transactionalId?: string
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
  const { transactionalId } = producer
  return { records, transactionalId, batches, sealed, acked: 0, baseOffset: -1n, lastOffset: -1n }
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
        const refusal = {
          ...refusalOf(delivery.records, code, message),
          transactionalId: delivery.transactionalId,
        }
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
export function topicRefused(refusal: Refusal): TransactionRefused {
  const denial = denialFor(refusal)
  if (denial !== undefined)
    return new TransactionRefused('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
  return new TransactionRefused('KAFKA_TOPIC_UNAVAILABLE', messageOf(refusal), {
    details: detailsOf(refusal),
  })
}

/** AddPartitionsToTxn needs what Produce does. */
const denialFor = (refusal: Refusal): Denial | undefined => {
  const { topic, transactionalId } = refusal
  const names = { topic, ...(transactionalId !== undefined && { 'transactional-id': transactionalId }) }
  return denialOf(nameOf(refusal), produce[2], refusal.code, names, detailsOf(refusal))
}

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
  const denial = denialFor(refusal)
  if (denial !== undefined)
    return new KafkaFailure('KAFKA_AUTHORIZATION_FAILED', 'not-committed', denial.message, denial)
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
