import { invariant, nextDelayMs, OutboxError } from '@oncebox/core'
import type { BrokerConnections } from '../broker-connections.js'
import type { Cluster } from '../cluster.js'
import type { Deadline } from '../deadline.js'
import { errorCode } from '../protocol/error-codes.js'
import { produce, type ProduceAnswer } from '../protocol/produce.js'
import type { PartitionRecords } from '../records/partition-records.js'
import {
  applyResults,
  placement,
  refusalOf,
  startDelivery,
  topicRefused,
  type Delivery,
  type Placement,
  type ProduceResult,
  type Refusal,
} from './delivery.js'
import { packRequests, type BatchToSend, type PackedRequest } from './pack-requests.js'
import type { Producer } from './producer.js'

export interface ProduceContext {
  readonly cluster: Cluster
  /** To the leaders. */
  readonly connections: BrokerConnections
  /** To the coordinator of the consumer group whose offsets are part of the transaction. */
  readonly offsetConnections: BrokerConnections
  readonly producer: Producer
  readonly deadline: Deadline
  /** Until when a topic may refuse with "unknown", "no leader" and the like before the transaction is given up. */
  readonly patientUntilMs: number
  /** Awaited when the bytes of the first wave are with the sockets. */
  readonly onSent?: () => void | Promise<void>
}

// The broker remembers the last 5 batches of a producer: a sixth in flight could not be told from a duplicate when resent.
const batchesInFlightMax = 5
const retry = { minMs: 2, maxMs: 20 }
export const topicRetry = { minMs: 20, maxMs: 250 }

/**
 * Sends every batch and returns when each is acknowledged with 0. What the broker refuses without appending (topic not
 * ready, markers of the last transaction still being written) is sent again with the same sequence numbers.
 *
 * @throws TransactionRefused when it is certain that all answers are in; KafkaFailure otherwise: never commit after either.
 */
export async function produceRecords(
  partitions: readonly PartitionRecords[],
  context: ProduceContext,
): Promise<readonly Placement[]> {
  await context.deadline.race(Promise.all(partitions.map((records) => records.close())))
  const deliveries = partitions.map((records) => startDelivery(records, context.producer))
  const announce = once(context.onSent)
  for (let attempt = 1; ; attempt++) {
    const unfinished = deliveries.filter(({ acked, batches }) => acked < batches.length)
    if (unfinished.length === 0) return deliveries.map(placement)
    const refusals = await sendWave(unfinished, context, announce)
    const refused = refusals.find(({ code }) => code !== errorCode.CONCURRENT_TRANSACTIONS)
    if (refusals.length === 0) attempt = 0
    else if (refused === undefined) await context.deadline.delay(nextDelayMs(retry, attempt))
    else {
      if (performance.now() >= context.patientUntilMs) throw topicRefused(refused)
      await context.deadline.delay(nextDelayMs(topicRetry, attempt))
      for (const topic of new Set(refusals.map((refusal) => refusal.topic))) {
        await refreshLayout(topic, context)
      }
    }
  }
}

function once(action: (() => void | Promise<void>) | undefined): () => void | Promise<void> {
  let rest = action
  return () => {
    const first = rest
    rest = undefined
    return first?.()
  }
}

/** Sends up to 5 batches of each partition, waits for every answer, and returns the partitions that have to try again. */
async function sendWave(
  deliveries: readonly Delivery[],
  context: ProduceContext,
  onSent: () => void | Promise<void>,
): Promise<readonly Refusal[]> {
  const { deadline } = context
  const unsent: Refusal[] = []
  const batches = await batchesByLeader(deliveries, context, unsent)
  const sent: { readonly request: PackedRequest<Delivery>; readonly answer: Promise<ProduceAnswer> }[] = []
  for (const request of packRequests(batches)) {
    const connection = await connect(request, context)
    if (connection === undefined) {
      for (const { owner } of request.batches)
        unsent.push(refusalOf(owner.records, errorCode.NETWORK_EXCEPTION, 'its leader is unreachable'))
      continue
    }
    const { answer } = await deadline.race(
      connection.send(produce[context.producer.transactionVersion], {
        transactionalId: context.producer.transactionalId,
        timeoutMs: Math.ceil(
          Math.max(1, Math.min(deadline.remainingMs, context.cluster.options.requestTimeoutMs)),
        ),
        topics: groupByTopic(request.batches),
      }),
    )
    sent.push({ request, answer })
  }
  if (sent.length > 0) await onSent()
  const results = new Map<Delivery, Map<number, ProduceResult>>()
  for (const { request, answer } of sent) collectResults(request, await deadline.race(answer), results)
  return [...unsent, ...applyResults(results)]
}

async function batchesByLeader(
  deliveries: readonly Delivery[],
  context: ProduceContext,
  unsent: Refusal[],
): Promise<BatchToSend<Delivery>[]> {
  const batches: BatchToSend<Delivery>[] = []
  for (const delivery of deliveries) {
    const { topic, partition } = delivery.records
    const leader = await leaderOf(topic, partition, context)
    if (leader === undefined) {
      unsent.push(refusalOf(delivery.records, errorCode.LEADER_NOT_AVAILABLE, null))
      continue
    }
    const end = Math.min(delivery.acked + batchesInFlightMax, delivery.batches.length)
    for (let index = delivery.acked; index < end; index++) {
      const bytes = delivery.sealed[index]
      invariant(bytes !== undefined, 'a sealed batch for each batch')
      batches.push({ owner: delivery, index, round: index - delivery.acked, leader, bytes })
    }
  }
  return batches
}

async function leaderOf(
  topic: string,
  partition: number,
  { cluster, deadline }: ProduceContext,
): Promise<number | undefined> {
  try {
    const { leaders } = await cluster.layout(topic, deadline, { patienceMs: 0 })
    const leader = leaders[partition] ?? -1
    return leader < 0 ? undefined : leader
  } catch (error) {
    if (deadline.expired || !isPassing(error)) throw error
    return undefined
  }
}

/** Metadata that cannot be had now: no broker is reachable, or none knows the topic. Nothing was sent. */
const isPassing = (error: unknown): boolean =>
  OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE') || OutboxError.is(error, 'KAFKA_UNAVAILABLE')

/** The connection to a request's leader; undefined when there is none to be had, in which case nothing was sent. */
async function connect(request: PackedRequest<Delivery>, { cluster, connections, deadline }: ProduceContext) {
  try {
    return await connections.to(await cluster.address(request.leader, deadline), deadline)
  } catch (error) {
    if (deadline.expired || !OutboxError.is(error, 'KAFKA_UNAVAILABLE')) throw error
    return undefined
  }
}

function groupByTopic(
  batches: readonly BatchToSend<Delivery>[],
): { name: string; partitions: { index: number; batch: Buffer }[] }[] {
  const topics = new Map<string, { index: number; batch: Buffer }[]>()
  for (const { owner, bytes } of batches) {
    const partitions = topics.get(owner.records.topic)
    const entry = { index: owner.records.partition, batch: bytes }
    if (partitions === undefined) topics.set(owner.records.topic, [entry])
    else partitions.push(entry)
  }
  return Array.from(topics, ([name, partitions]) => ({ name, partitions }))
}

function collectResults(
  request: PackedRequest<Delivery>,
  answer: ProduceAnswer,
  results: Map<Delivery, Map<number, ProduceResult>>,
): void {
  for (const { owner, index } of request.batches) {
    const { topic, partition } = owner.records
    const found = answer.topics
      .find(({ name }) => name === topic)
      ?.partitions.find((candidate) => candidate.index === partition)
    if (found === undefined)
      throw new OutboxError('KAFKA_PROTOCOL', `Produce: no answer for ${topic}-${partition}`, {
        details: { topic, partition },
      })
    const byIndex = results.get(owner) ?? new Map<number, ProduceResult>()
    results.set(owner, byIndex)
    byIndex.set(index, { code: found.errorCode, baseOffset: found.baseOffset, message: found.errorMessage })
  }
}

export async function refreshLayout(topic: string, { cluster, deadline }: ProduceContext): Promise<void> {
  try {
    await cluster.layout(topic, deadline, { refresh: true, patienceMs: 0 })
  } catch (error) {
    // Still not there: the next wave finds that out for itself and the caller's patience ends it.
    if (deadline.expired || !isPassing(error)) throw error
  }
}
