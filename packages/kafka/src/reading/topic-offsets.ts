import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, topicUnavailable, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { errorCode, topicNotReady } from '../protocol/error-codes.js'
import { listOffsets, type ListOffsetsRequest } from '../protocol/list-offsets.js'
import type { LogOffsets } from './fetched-batch.js'

/** A topic as it is now: its id, and what its logs hold. */
export interface TopicOffsets {
  readonly topicId: string
  readonly partitions: ReadonlyMap<number, PartitionOffsets>
}

/** Where readers may be: between the first offset that is still there and the last stable one. */
export type PartitionOffsets = Pick<LogOffsets, 'logStartOffset' | 'lastStableOffset'>

const deadlineMs = 30_000
const patienceMs = 10_000
const retry = { minMs: 20, maxMs: 500 }

/**
 * Asks the leaders of all partitions of a topic; for 10 s again while one has none, moves, or does not answer.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE
 */
export async function readTopicOffsets(
  client: KafkaClient,
  topic: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<TopicOffsets> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(deadlineMs, `reading the offsets of ${topic}`, signal)
  const asked = await askTopic(cluster, topic, ['logStartOffset', 'lastStableOffset'], deadline)
  const partitions = asked.offsets.map(([logStartOffset = -1n, lastStableOffset = -1n], partition) => {
    const offsets: PartitionOffsets = { logStartOffset, lastStableOffset }
    return [partition, offsets] as const
  })
  return { topicId: asked.topicId, partitions: new Map(partitions) }
}

/** Offsets that a log is asked for. Records are below the high watermark when all replicas in sync have them. */
const questions = {
  logStartOffset: { isolation: 'read-uncommitted', position: 'earliest' },
  lastStableOffset: { isolation: 'read-committed', position: 'latest' },
  highWatermark: { isolation: 'read-uncommitted', position: 'latest' },
} as const

/**
 * The offsets asked for, in that order, of each partition of a topic; for 10 s again while one has no leader, moves, or
 * does not answer.
 *
 * @throws OutboxError KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE
 */
export async function askTopic(
  cluster: Cluster,
  topic: string,
  what: readonly (keyof typeof questions)[],
  deadline: Deadline,
): Promise<{ readonly topicId: string; readonly offsets: readonly (readonly bigint[])[] }> {
  const patientUntil = performance.now() + patienceMs
  for (let attempt = 1; ; attempt++) {
    try {
      const { topicId, leaders } = await cluster.layout(topic, deadline, { refresh: true })
      const request = { topic, leaders, cluster, deadline }
      const answers = await Promise.all(what.map((name) => ask(request, questions[name])))
      const offsets = leaders.map((_, partition) =>
        answers.map((answer) => required(answer, partition, topic)),
      )
      return { topicId, offsets }
    } catch (error) {
      const mayPass = OutboxError.is(error) && error.retriable && !deadline.expired
      if (!mayPass || performance.now() >= patientUntil) throw error
      await deadline.delay(nextDelayMs(retry, attempt))
    }
  }
}

interface Question {
  readonly topic: string
  readonly leaders: readonly number[]
  readonly cluster: Cluster
  readonly deadline: Deadline
}

/** One offset of each partition, asked of all leaders at once. */
async function ask(
  { topic, leaders, cluster, deadline }: Question,
  what: Pick<ListOffsetsRequest, 'isolation' | 'position'>,
): Promise<ReadonlyMap<number, bigint>> {
  const partitionsOf = new Map<number, number[]>()
  for (const [partition, leader] of leaders.entries()) {
    const led = partitionsOf.get(leader)
    if (led === undefined) partitionsOf.set(leader, [partition])
    else led.push(partition)
  }
  const answers = await Promise.all(
    [...partitionsOf].map(async ([leader, partitions]) => {
      if (leader < 0) throw topicUnavailable(topic, errorCode.LEADER_NOT_AVAILABLE)
      const connection = await cluster.queries.to(await cluster.address(leader, deadline), deadline)
      const answer = await deadline.race(connection.call(listOffsets, { topic, partitions, ...what }))
      return answer.partitions
    }),
  )
  return new Map(
    answers.flat().map(({ index, errorCode: code, offset }) => {
      if (code === errorCode.NONE) return [index, offset]
      throw topicNotReady.has(code)
        ? topicUnavailable(topic, code)
        : new OutboxError('KAFKA_PROTOCOL', `asking for offsets of ${topic}-${index}: code ${code}`, {
            details: { topic, partition: index, code },
          })
    }),
  )
}

function required(offsets: ReadonlyMap<number, bigint>, partition: number, topic: string): bigint {
  const offset = offsets.get(partition)
  if (offset !== undefined) return offset
  throw topicUnavailable(topic, errorCode.UNKNOWN_TOPIC_OR_PARTITION)
}
