import { setTimeout as delay } from 'node:timers/promises'
import type { PartitionMetadata } from 'kafkajs'
import { withAdmin } from './with-admin.js'

const everyMs = 50

/** The topic of the transaction coordinators: who leads its one partition here, coordinates. */
export const transactionState = '__transaction_state'

/** Who leads a partition. */
export const leaderOf = async (brokers: readonly string[], topic: string, partition = 0): Promise<number> =>
  (await described(brokers, topic, partition)).leader

/**
 * Moves a partition off its leader, to the next of its replicas, and resolves when that one leads. Both brokers live on, and
 * the former leader is a replica in sync again, the last one.
 */
export async function moveLeader(
  brokers: readonly string[],
  topic: string,
  partition: number,
  signal: AbortSignal,
): Promise<void> {
  const { leader, replicas } = await described(brokers, topic, partition)
  const others = replicas.filter((nodeId) => nodeId !== leader)
  // No election that a client could ask for is needed: who is not among the replicas any more cannot lead.
  await reassign(brokers, topic, partition, others)
  await untilLedByAnother(brokers, topic, partition, leader, signal)
  await reassign(brokers, topic, partition, [...others, leader])
  while ((await described(brokers, topic, partition)).isr.length < replicas.length)
    await delay(everyMs, undefined, { signal })
}

const reassign = (
  brokers: readonly string[],
  topic: string,
  partition: number,
  replicas: number[],
): Promise<void> =>
  withAdmin(brokers, (admin) =>
    admin.alterPartitionReassignments({
      topics: [{ topic, partitionAssignment: [{ partition, replicas }] }],
    }),
  )

/** Waits until another broker than the one that did leads the partition. Bounded by the signal. */
export async function untilLedByAnother(
  brokers: readonly string[],
  topic: string,
  partition: number,
  former: number,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const leader = await leaderOf(brokers, topic, partition).catch(() => former)
    if (leader !== former && leader >= 0) return
    await delay(everyMs, undefined, { signal })
  }
}

const described = (
  brokers: readonly string[],
  topic: string,
  partition: number,
): Promise<PartitionMetadata> =>
  withAdmin(brokers, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)
    if (found === undefined) throw new Error(`${topic}-${partition} does not exist`)
    return found
  })
