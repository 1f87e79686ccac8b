import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { KafkaClient, TopicDescription } from './client.js'
import { clusterOf, type Cluster } from './cluster.js'
import { Deadline } from './deadline.js'
import { within } from './options.js'
import { createPartitions } from './protocol/create-partitions.js'
import { createTopics } from './protocol/create-topics.js'
import type { Api } from './protocol/api.js'
import { denialOf } from './protocol/denial.js'
import { describeCode, errorCode } from './protocol/error-codes.js'

export interface ProgressTopicOptions {
  readonly topic: string
  /** One per shard; a topic that has fewer gets more, one that has more keeps them. */
  readonly partitions: number
  /** Default: the broker's. Three or more in production. */
  readonly replicationFactor?: number
  readonly signal?: AbortSignal
}

const deadlineMs = 30_000
const retry = { minMs: 50, maxMs: 500 }

/**
 * Creates the progress topic when it does not exist, and checks it: exactly `cleanup.policy=compact`. With `delete`
 * beside it, which is a common default, the position is gone after the retention time.
 *
 * @throws OutboxError KAFKA_PROGRESS_TOPIC_INVALID, KAFKA_AUTHORIZATION_FAILED, KAFKA_TOPIC_UNAVAILABLE
 */
export async function ensureProgressTopic(
  client: KafkaClient,
  options: ProgressTopicOptions,
): Promise<TopicDescription> {
  const cluster = clusterOf(client)
  const partitions = within('partitions', options.partitions, 1, 100_000)
  using deadline = new Deadline(deadlineMs, `preparing the progress topic ${options.topic}`, options.signal)
  await createIfMissing(cluster, options, deadline)
  const signal = { signal: deadline.signal }
  let description = await cluster.describeTopic(options.topic, { refresh: true, ...signal })
  if (description.partitions < partitions) {
    await addPartitions(cluster, { ...options, partitions }, deadline)
    description = await untilThere(cluster, options.topic, partitions, deadline)
  }
  const policy = await cluster.topicConfig(options.topic, 'cleanup.policy', deadline)
  if (policy !== 'compact') throw invalid(options.topic, `its cleanup.policy is ${policy}, not compact`)
  return description
}

async function createIfMissing(
  cluster: Cluster,
  options: ProgressTopicOptions,
  deadline: Deadline,
): Promise<void> {
  const exists = await cluster
    .layout(options.topic, deadline, { refresh: true, patienceMs: 0 })
    .then(() => true)
    .catch((error: unknown) => {
      if (OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE')) return false
      throw error
    })
  if (exists) return
  const request = {
    topic: options.topic,
    partitions: options.partitions,
    replicationFactor: options.replicationFactor ?? -1,
    configs: [['cleanup.policy', 'compact']] as const,
    timeoutMs: Math.ceil(deadline.remainingMs),
  }
  const { errorCode: code, errorMessage } = await cluster.askAny(createTopics, request, deadline)
  if (code === errorCode.NONE || code === errorCode.TOPIC_ALREADY_EXISTS) return
  throw creationRefused(`creating ${options.topic}`, createTopics, options.topic, { code, errorMessage })
}

async function addPartitions(
  cluster: Cluster,
  { topic, partitions }: ProgressTopicOptions,
  deadline: Deadline,
): Promise<void> {
  const request = { topic, partitions, timeoutMs: Math.ceil(deadline.remainingMs) }
  const { errorCode: code, errorMessage } = await cluster.askAny(createPartitions, request, deadline)
  // Another process has added them.
  if (code === errorCode.NONE || code === errorCode.INVALID_PARTITIONS) return
  const doing = `giving ${topic} ${partitions} partitions, one per shard`
  throw creationRefused(doing, createPartitions, topic, { code, errorMessage })
}

/** Brokers learn of new partitions one after the other. */
async function untilThere(
  cluster: Cluster,
  topic: string,
  partitions: number,
  deadline: Deadline,
): Promise<TopicDescription> {
  for (let attempt = 1; ; attempt++) {
    const description = await cluster.describeTopic(topic, { refresh: true, signal: deadline.signal })
    if (description.partitions >= partitions) return description
    await deadline.delay(nextDelayMs(retry, attempt))
  }
}

function creationRefused(
  doing: string,
  api: Pick<Api<never, unknown>, 'name' | 'needs'>,
  topic: string,
  { code, errorMessage }: { readonly code: number; readonly errorMessage: string | null },
): OutboxError {
  const denial = denialOf(doing, api, code, { topic }, { topic })
  if (denial !== undefined) return new OutboxError('KAFKA_AUTHORIZATION_FAILED', denial.message, denial)
  const reason = errorMessage === null ? describeCode(code) : `${describeCode(code)}: ${errorMessage}`
  return new OutboxError('KAFKA_PROGRESS_TOPIC_INVALID', `${doing}: ${reason}`, { details: { topic, code } })
}

const invalid = (topic: string, why: string): OutboxError =>
  new OutboxError('KAFKA_PROGRESS_TOPIC_INVALID', `progress topic ${topic}: ${why}`, { details: { topic } })
