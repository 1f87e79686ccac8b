import { OutboxError } from '@oncebox/core'
import type { KafkaClient } from './client.js'
import { clusterOf } from './cluster.js'
import { Deadline } from './deadline.js'
import { createTopics } from './protocol/create-topics.js'
import { denialOf } from './protocol/denial.js'
import { describeCode, errorCode } from './protocol/error-codes.js'

export interface CreateTopicOptions {
  readonly topic: string
  /** Default: the broker's. */
  readonly partitions?: number
  /** Default: the broker's. */
  readonly replicationFactor?: number
  readonly configs?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

const deadlineMs = 30_000
const transient: ReadonlySet<number> = new Set([errorCode.REQUEST_TIMED_OUT, errorCode.NOT_CONTROLLER])

/**
 * Creates a topic, unless somebody else is faster, and waits until brokers know it.
 * @throws OutboxError KAFKA_AUTHORIZATION_FAILED, KAFKA_UNAVAILABLE, KAFKA_TOPIC_UNAVAILABLE when the cluster refuses such a topic
 */
export async function createTopic(
  client: KafkaClient,
  { topic, partitions = -1, replicationFactor = -1, configs = {}, signal }: CreateTopicOptions,
): Promise<void> {
  const cluster = clusterOf(client)
  const doing = `creating topic ${topic}`
  using deadline = new Deadline(deadlineMs, doing, signal)
  const request = {
    topic,
    partitions,
    replicationFactor,
    configs: Object.entries(configs),
    timeoutMs: Math.ceil(deadline.remainingMs),
  }
  const { errorCode: code, errorMessage } = await cluster.askAny(createTopics, request, deadline)
  if (code !== errorCode.NONE && code !== errorCode.TOPIC_ALREADY_EXISTS) {
    const denial = denialOf(doing, createTopics, code, { topic }, { topic })
    if (denial !== undefined) throw new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
    throw new OutboxError(
      transient.has(code) ? 'KAFKA_UNAVAILABLE' : 'KAFKA_TOPIC_UNAVAILABLE',
      `${doing}: ${describeCode(code)}${errorMessage === null ? '' : `: ${errorMessage}`}`,
      { details: { topic, code } },
    )
  }
  await cluster.identifyTopic(topic, { refresh: true, signal: deadline.signal })
}
