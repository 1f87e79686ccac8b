import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { BrokerConnections } from './broker-connections.js'
import { topicUnavailable, type Cluster } from './cluster.js'
import type { Deadline } from './deadline.js'
import type { Api } from './protocol/api.js'
import { describeProducers, type ActiveProducer } from './protocol/describe-producers.js'
import { errorCode, topicNotReady } from './protocol/error-codes.js'
import { listOffsets, type ListOffsetsRequest } from './protocol/list-offsets.js'

export interface PartitionAddress {
  readonly topic: string
  readonly partition: number
}

const retry = { minMs: 20, maxMs: 500 }
const defaultPatienceMs = 10_000

/** Offset of the first record that is still there. */
export async function logStartOffset(
  cluster: Cluster,
  at: PartitionAddress,
  deadline: Deadline,
): Promise<bigint> {
  return await listedOffset(cluster, at, { isolation: 'read-uncommitted', position: 'earliest' }, deadline)
}

/** Everything below it is decided: committed or aborted. Read_committed readers see no further. */
export async function lastStableOffset(
  cluster: Cluster,
  at: PartitionAddress,
  deadline: Deadline,
): Promise<bigint> {
  return await listedOffset(cluster, at, { isolation: 'read-committed', position: 'latest' }, deadline)
}

/** Everything below it is replicated: no record of an open transaction, acknowledged before this call, is above it. */
export async function highWatermark(
  cluster: Cluster,
  at: PartitionAddress,
  deadline: Deadline,
): Promise<bigint> {
  return await listedOffset(cluster, at, { isolation: 'read-uncommitted', position: 'latest' }, deadline)
}

/** The first offset whose record is not older than this; undefined when all are. */
export async function offsetAtTime(
  cluster: Cluster,
  at: PartitionAddress,
  timestampMs: number,
  deadline: Deadline,
): Promise<bigint | undefined> {
  const what = { isolation: 'read-uncommitted', position: timestampMs } as const
  const offset = await listedOffset(cluster, at, what, deadline)
  return offset < 0n ? undefined : offset
}

const unanswered = { errorCode: errorCode.UNKNOWN_SERVER_ERROR, offset: -1n }

/** ListOffsets of one partition. */
const listOffset: Api<ListOffsetsRequest, { readonly errorCode: number; readonly offset: bigint }> = {
  ...listOffsets,
  decode: (reader) => {
    const { throttleMs, partitions } = listOffsets.decode(reader)
    return { throttleMs, ...(partitions[0] ?? unanswered) }
  },
}

async function listedOffset(
  cluster: Cluster,
  at: PartitionAddress,
  what: Pick<ListOffsetsRequest, 'isolation' | 'position'>,
  deadline: Deadline,
): Promise<bigint> {
  const request = { topic: at.topic, partitions: [at.partition], ...what }
  return required(await askPatiently(cluster, listOffset, request, at, deadline), at, listOffsets).offset
}

/** The producers with an open transaction on the partition. */
export async function openTransactions(
  cluster: Cluster,
  at: PartitionAddress,
  deadline: Deadline,
  options: { readonly patienceMs?: number } = {},
): Promise<readonly ActiveProducer[]> {
  const answer = await askPatiently(cluster, describeProducers, at, at, deadline, options)
  const { producers } = required(answer, at, describeProducers)
  return producers.filter(({ transactionStartOffset }) => transactionStartOffset >= 0n)
}

function required<Answer extends { readonly errorCode: number }>(
  answer: Answer,
  at: PartitionAddress,
  api: Api<never, unknown>,
): Answer {
  if (answer.errorCode === errorCode.NONE) return answer
  throw topicUnavailable(at.topic, answer.errorCode, api)
}

/**
 * Asks the leader, and again with fresh metadata while the partition has none, its leader moves or is unreachable; for
 * a bounded time. Other codes are the caller's. For questions only: a request that changes something is not repeated so
 * lightly.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED, KAFKA_UNAVAILABLE
 */
export async function askPatiently<Request, Answer extends { readonly errorCode: number }>(
  cluster: Cluster,
  api: Api<Request, Answer>,
  request: Request,
  at: PartitionAddress,
  deadline: Deadline,
  options: { readonly connections?: BrokerConnections; readonly patienceMs?: number } = {},
): Promise<Answer> {
  const { patienceMs = defaultPatienceMs, connections } = options
  const patientUntilMs = performance.now() + patienceMs
  for (let attempt = 1; ; attempt++) {
    let failure: OutboxError
    try {
      const answer = await cluster.askLeader(
        api,
        request,
        { ...at, ...(connections && { connections }) },
        deadline,
      )
      if (!topicNotReady.has(answer.errorCode)) return answer
      failure = topicUnavailable(at.topic, answer.errorCode, api)
    } catch (error) {
      if (deadline.expired || !mayPass(error)) throw error
      failure = error
    }
    if (performance.now() >= patientUntilMs) throw failure
    await deadline.delay(nextDelayMs(retry, attempt))
    await cluster.layout(at.topic, deadline, { refresh: true, patienceMs: 0 }).catch((error: unknown) => {
      if (deadline.expired || !mayPass(error)) throw error
    })
  }
}

/** A cluster or a topic that cannot be had now, and perhaps later. */
export const mayPass = (error: unknown): error is OutboxError =>
  OutboxError.is(error, 'KAFKA_UNAVAILABLE') || OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE')
