import { OutboxError } from '@oncebox/core'
import { createTopic, readTopicHealth, type KafkaClient } from '@oncebox/kafka'
import type { ResolvedCommonOptions } from '../resolved-options.js'
import type { Tier } from './tiers.js'

const weekMs = 604_800_000
/** The cause, and the key and the headers once more, beside the event. */
const copyBytes = 131_072

interface Layout {
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly configs: Readonly<Record<string, string>>
}

/**
 * Creates the retry topics that are not there, like their origins: as many partitions and replicas, room for larger records, and a
 * retention that outlasts their delay.
 * @throws OutboxError CONSUMER_RETRY_TOPIC_MISSING, KAFKA_UNAVAILABLE
 */
export async function createRetryTopics(
  client: KafkaClient,
  { tiers, kafka }: Pick<ResolvedCommonOptions, 'tiers' | 'kafka'>,
  signal: AbortSignal,
): Promise<void> {
  for (const tier of tiers?.all ?? []) {
    if ((await readTopicHealth(client, tier.topic, signal)) !== undefined) continue
    const layout = await layoutOf(client, tier, signal)
    try {
      await createTopic(client, { topic: tier.topic, ...layout, signal })
    } catch (error) {
      if (!OutboxError.is(error) || error.code === 'KAFKA_UNAVAILABLE') throw error
      throw missing(tier, layout, kafka.brokers[0] ?? '', error)
    }
  }
}

async function layoutOf(
  client: KafkaClient,
  { origin, delayMs }: Tier,
  signal: AbortSignal,
): Promise<Layout> {
  const health = await readTopicHealth(client, origin.name, signal)
  const configs = { 'cleanup.policy': 'delete', 'retention.ms': String(weekMs + delayMs) }
  // The broker's defaults, until there is something to be like.
  if (health === undefined) return { configs }
  const maxMessageBytes = await client.describeTopic(origin.name, { signal }).then(
    (description) => description.maxMessageBytes,
    (error: unknown) => {
      // A principal that only reads may not see it.
      if (OutboxError.is(error, 'KAFKA_AUTHORIZATION_FAILED')) return undefined
      throw error
    },
  )
  return {
    partitions: health.partitions,
    replicationFactor: health.replicas,
    configs: {
      ...configs,
      ...(maxMessageBytes === undefined ? {} : { 'max.message.bytes': String(maxMessageBytes + copyBytes) }),
    },
  }
}

function missing(
  { topic }: Tier,
  { partitions, replicationFactor, configs }: Layout,
  broker: string,
  cause: OutboxError,
): OutboxError {
  const command = [
    `kafka-topics.sh --bootstrap-server ${broker} --create --topic ${topic}`,
    ...(partitions === undefined ? [] : [`--partitions ${partitions}`]),
    ...(replicationFactor === undefined ? [] : [`--replication-factor ${replicationFactor}`]),
    ...Object.entries(configs).map(([name, value]) => `--config ${name}=${value}`),
  ].join(' ')
  return new OutboxError(
    'CONSUMER_RETRY_TOPIC_MISSING',
    `retry topic ${topic} is not there, and may not be created: ${cause.message}. Create it: ${command}`,
    { cause, details: { topic, command } },
  )
}
