import { nextDelayMs } from '@oncebox/core'
import { errorCode, topicNotReady } from '../protocol/error-codes.js'
import type { PartitionRecords } from '../records/partition-records.js'
import { refusedForGood, topicRefused } from './delivery.js'
import { refreshLayout, topicRetry, type ProduceContext } from './produce-records.js'

/**
 * Version 1: names the partitions of the transaction to its coordinator, which takes all or none. Those that the
 * cluster does not know yet are named again for as long as a Produce to them would be repeated.
 *
 * @throws TransactionRefused, KafkaFailure
 */
export async function addPartitions(
  partitions: readonly PartitionRecords[],
  context: ProduceContext,
): Promise<void> {
  const topics = byTopic(partitions)
  for (let attempt = 1; ; attempt++) {
    const results = await context.producer.addPartitions(topics, context.deadline)
    const refused = results.find(
      ({ errorCode: code }) => code !== errorCode.NONE && code !== errorCode.OPERATION_NOT_ATTEMPTED,
    )
    if (refused === undefined) return
    const { transactionalId } = context.producer
    const refusal = {
      ...refused,
      code: refused.errorCode,
      message: 'adding it to the transaction',
      transactionalId,
    }
    if (!topicNotReady.has(refusal.code)) throw refusedForGood(refusal)
    if (performance.now() >= context.patientUntilMs) throw topicRefused(refusal)
    await context.deadline.delay(nextDelayMs(topicRetry, attempt))
    await refreshLayout(refusal.topic, context)
  }
}

function byTopic(partitions: readonly PartitionRecords[]): { name: string; partitions: number[] }[] {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of partitions) {
    const known = topics.get(topic)
    if (known === undefined) topics.set(topic, [partition])
    else known.push(partition)
  }
  return Array.from(topics, ([name, ofTopic]) => ({ name, partitions: ofTopic }))
}
