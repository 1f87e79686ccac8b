/** The finalized features of a running cluster, changed by Apache's own tool. */
import { pollUntil } from './poll-until.js'
import type { KafkaBroker } from './services/kafka-broker.js'
import type { KafkaRuntime } from './services/kafka-runtime.js'
import { runKafkaTool } from './services/kafka-tool.js'

export interface FeatureChange {
  /** For example `transaction.version`. */
  readonly feature: string
  readonly level: number
}

const featureTool = (
  runtime: KafkaRuntime,
  brokers: readonly KafkaBroker[],
  args: readonly string[],
): Promise<string> =>
  runKafkaTool(runtime, 'org.apache.kafka.tools.FeatureCommand', [
    '--bootstrap-server',
    brokers.map(({ address }) => address).join(','),
    ...args,
  ])

/** What one node tells its clients. */
const levelOn = async (runtime: KafkaRuntime, broker: KafkaBroker, feature: string): Promise<number> => {
  const described = await featureTool(runtime, [broker], ['describe', '--node-id', String(broker.nodeId)])
  for (const line of described.split('\n')) {
    const [, name, level] = /^Feature: (\S+)\s.*FinalizedVersionLevel: (\d+)/.exec(line) ?? []
    if (name === feature) return Number(level)
  }
  throw new Error(`broker ${broker.nodeId} knows no feature ${feature}\n${described}`)
}

/** Resolves when each of these brokers tells the new level to clients that connect from now on. */
export const alterFeature = async (
  runtime: KafkaRuntime,
  brokers: readonly KafkaBroker[],
  { feature, level }: FeatureChange,
): Promise<void> => {
  const [first] = brokers
  if (first === undefined) throw new Error('no broker of the cluster answers')
  const direction = level < (await levelOn(runtime, first, feature)) ? 'downgrade' : 'upgrade'
  await featureTool(runtime, brokers, [direction, '--feature', `${feature}=${level}`])
  await Promise.all(
    brokers.map((broker) =>
      pollUntil(
        `broker ${broker.nodeId} has ${feature} ${level}`,
        async () => (await levelOn(runtime, broker, feature)) === level,
      ),
    ),
  )
}
