import type { KafkaClient } from '../client.js'
import { clusterOf } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { metadata } from '../protocol/metadata.js'

/** How well a topic is kept. */
export interface TopicHealth {
  readonly partitions: number
  /** Brokers that keep a partition, and that have all of it: of the partition that has the fewest. */
  readonly replicas: number
  readonly inSync: number
  /** The values in force, as text. */
  readonly settings: ReadonlyMap<string, string>
}

/**
 * Replicas of a topic, and the values in force of some of its settings. Undefined when it does not exist.
 * @throws OutboxError KAFKA_AUTHORIZATION_FAILED, KAFKA_UNAVAILABLE
 */
export async function readTopicHealth(
  client: KafkaClient,
  topic: string,
  settings: readonly string[],
  signal?: AbortSignal,
): Promise<TopicHealth | undefined> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(cluster.options.requestTimeoutMs, `looking at topic ${topic}`, signal)
  const answer = await cluster.askAny(metadata, { topics: [topic] }, deadline)
  const partitions = answer.topics.find(({ name }) => name === topic)?.partitions ?? []
  if (partitions.length === 0) return undefined
  const values = await Promise.all(
    settings.map(async (name): Promise<[string, string]> => [
      name,
      await cluster.topicConfig(topic, name, deadline),
    ]),
  )
  return {
    partitions: partitions.length,
    replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    inSync: Math.min(...partitions.map(({ inSync }) => inSync.length)),
    settings: new Map(values),
  }
}

/** How many brokers the cluster has. */
export async function countBrokers(client: KafkaClient, signal?: AbortSignal): Promise<number> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(cluster.options.requestTimeoutMs, 'counting brokers', signal)
  return (await cluster.askAny(metadata, { topics: [] }, deadline)).brokers.length
}
