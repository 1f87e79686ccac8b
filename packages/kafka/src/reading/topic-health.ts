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
}

/**
 * Undefined when there is no such topic.
 * @throws OutboxError KAFKA_UNAVAILABLE
 */
export async function readTopicHealth(
  client: KafkaClient,
  topic: string,
  signal?: AbortSignal,
): Promise<TopicHealth | undefined> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(cluster.options.requestTimeoutMs, `looking at topic ${topic}`, signal)
  const answer = await cluster.askAny(metadata, { topics: [topic] }, deadline)
  const partitions = answer.topics.find(({ name }) => name === topic)?.partitions ?? []
  if (partitions.length === 0) return undefined
  return {
    partitions: partitions.length,
    replicas: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    inSync: Math.min(...partitions.map(({ inSync }) => inSync.length)),
  }
}

/** How many brokers the cluster has. */
export async function countBrokers(client: KafkaClient, signal?: AbortSignal): Promise<number> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(cluster.options.requestTimeoutMs, 'counting brokers', signal)
  return (await cluster.askAny(metadata, { topics: [] }, deadline)).brokers.length
}
