import type { KafkaClient } from '../client.js'
import { clusterOf } from '../cluster.js'
import { Deadline } from '../deadline.js'

/**
 * The values in force of some settings of a topic.
 * @throws OutboxError KAFKA_AUTHORIZATION_FAILED, KAFKA_TOPIC_UNAVAILABLE
 */
export async function readTopicSettings(
  client: KafkaClient,
  topic: string,
  names: readonly string[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(
    cluster.options.requestTimeoutMs,
    `reading the configuration of ${topic}`,
    signal,
  )
  const values = await Promise.all(
    names.map(async (name): Promise<[string, string]> => [
      name,
      await cluster.topicConfig(topic, name, deadline),
    ]),
  )
  return new Map(values)
}
