import type { KafkaOptions } from '@oncebox/consumer-dedup'
import { OutboxError } from '@oncebox/core'
import { loadRelayOptions } from './load-relay-options.js'

/**
 * The cluster of a command that needs no relay: `kafka` of a relay's file, or ONCEBOX_KAFKA_BROKERS.
 * @throws OutboxError CLI_USAGE, CLI_CONFIG_INVALID, RELAY_OPTIONS_INVALID
 */
export async function kafkaOf(
  { config }: { readonly config?: string | undefined },
  environment: NodeJS.ProcessEnv,
): Promise<KafkaOptions> {
  if (config !== undefined) return (await loadRelayOptions(config, environment)).kafka
  const brokers = environment['ONCEBOX_KAFKA_BROKERS']
  if (brokers !== undefined) return { brokers: brokers.split(',').map((broker) => broker.trim()) }
  throw new OutboxError('CLI_USAGE', 'no Kafka brokers: give --config FILE or set ONCEBOX_KAFKA_BROKERS')
}
