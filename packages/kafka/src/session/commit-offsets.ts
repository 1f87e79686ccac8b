import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { SentRequest } from '../broker-connection.js'
import { KafkaFailure } from '../kafka-failure.js'
import { denialOf } from '../protocol/denial.js'
import {
  coordinatorNotReady,
  describeCode,
  errorCode,
  fencing,
  groupFencing,
} from '../protocol/error-codes.js'
import {
  txnOffsetCommit,
  type TxnOffsetCommitAnswer,
  type TxnOffsetCommitRequest,
} from '../protocol/txn-offset-commit.js'
import { TransactionRefused } from './delivery.js'
import type { ProduceContext } from './produce-records.js'
import type { ConsumedOffsets } from './transaction-session.js'

const retry = { minMs: 5, maxMs: 250 }

/**
 * Makes the offsets of a consumer group part of the transaction: they are committed with it, or not at all. The group's
 * coordinator refuses them when this member has lost its partitions.
 *
 * @throws TransactionRefused when they are refused and the transaction can be aborted cleanly; KafkaFailure otherwise
 */
export async function commitOffsets(offsets: ConsumedOffsets, context: ProduceContext): Promise<void> {
  const { producer, deadline } = context
  if (producer.transactionVersion === 1) await producer.addOffsets(offsets.groupId, deadline)
  const topics = byTopic(offsets)
  for (let attempt = 1; ; attempt++) {
    const answer = await ask(offsets, topics, context)
    const refused = answer?.partitions.find(({ errorCode: code }) => code !== errorCode.NONE)
    if (answer !== undefined && refused === undefined) return
    // Without an answer the request was not sent: the coordinator is unreachable, perhaps it moved.
    if (refused !== undefined && !coordinatorNotReady.has(refused.errorCode))
      throw refusal(offsets, refused, producer)
    await deadline.delay(nextDelayMs(retry, attempt))
  }
}

/** The answer, or undefined when the request could not be sent. One that was sent is not repeated: it may come late. */
async function ask(
  { groupId, generationId, memberId, groupInstanceId = null }: ConsumedOffsets,
  topics: TxnOffsetCommitRequest['topics'],
  { cluster, producer, offsetConnections, deadline }: ProduceContext,
): Promise<TxnOffsetCommitAnswer | undefined> {
  const { transactionalId, producerId, producerEpoch, transactionVersion } = producer
  const member = { groupId, generationId, memberId, groupInstanceId }
  let sent: SentRequest<TxnOffsetCommitAnswer>
  try {
    const coordinator = await cluster.coordinator('group', groupId, deadline)
    const connection = await offsetConnections.to(coordinator, deadline)
    const request = { transactionalId, producerId, producerEpoch, ...member, topics }
    sent = await deadline.race(connection.send(txnOffsetCommit[transactionVersion], request))
  } catch (error) {
    if (deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE')) throw error
    return undefined
  }
  return await deadline.race(sent.answer)
}

function byTopic({ offsets }: ConsumedOffsets): TxnOffsetCommitRequest['topics'] {
  const topics = new Map<string, TxnOffsetCommitRequest['topics'][number]['partitions'][number][]>()
  for (const { topic, partition, offset, leaderEpoch = -1, metadata = '' } of offsets) {
    const entry = { partition, offset, leaderEpoch, metadata }
    const known = topics.get(topic)
    if (known === undefined) topics.set(topic, [entry])
    else known.push(entry)
  }
  return Array.from(topics, ([name, partitions]) => ({ name, partitions }))
}

type RefusedOffset = TxnOffsetCommitAnswer['partitions'][number]

function refusal(
  { groupId, memberId, generationId }: ConsumedOffsets,
  { topic, partition, errorCode: code }: RefusedOffset,
  { transactionalId, transactionVersion }: ProduceContext['producer'],
): OutboxError {
  const what = `offsets of group ${groupId}, ${topic}-${partition}`
  const message = `${what}: ${describeCode(code)}`
  const details = { groupId, memberId, generationId, topic, partition, code }
  if (fencing.has(code)) return new KafkaFailure('KAFKA_FENCED', 'fenced', message, { details })
  if (groupFencing.has(code)) return new TransactionRefused('KAFKA_GROUP_FENCED', message, { details })
  const names = { topic, group: groupId, 'transactional-id': transactionalId }
  const denial = denialOf(what, txnOffsetCommit[transactionVersion], code, names, details)
  if (denial !== undefined)
    return new TransactionRefused('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
  if (code === errorCode.UNKNOWN_TOPIC_OR_PARTITION)
    return new TransactionRefused('KAFKA_TOPIC_UNAVAILABLE', message, { details })
  return new KafkaFailure('KAFKA_TRANSACTION_NOT_COMMITTED', 'not-committed', message, { details })
}
