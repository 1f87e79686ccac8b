import {
  countBrokers,
  readTopicHealth,
  readTopicSettings,
  type KafkaClient,
  type TopicHealth,
} from '@oncebox/kafka'
import { failure, failureOf, ok, warning, type Finding } from './finding.js'

export interface ExaminedTopics {
  readonly progress: string
  readonly shards: number
  /** Topics that the outbox has emitted to. */
  readonly events: readonly string[]
}

interface ExaminedTopic extends TopicHealth {
  readonly settings: ReadonlyMap<string, string>
}

const settings = ['cleanup.policy', 'min.insync.replicas', 'unclean.leader.election.enable'] as const
const replicasWanted = 3
const inSyncWanted = 2

/** What the promises need of the cluster and of each topic. A topic that cannot be looked at is a finding. */
export async function examineKafka(kafka: KafkaClient, topics: ExaminedTopics): Promise<readonly Finding[]> {
  const brokers = await countBrokers(kafka)
  const findings: Finding[] = [
    brokers >= replicasWanted
      ? ok('kafka.brokers', `${brokers} brokers`)
      : warning(
          'kafka.brokers',
          `${brokers === 1 ? 'one broker' : `${brokers} brokers`}: three keep publishing while one is away`,
        ),
    ...(await examineTopic(kafka, topics.progress, (health) => progressFindings(topics, health))),
  ]
  for (const topic of topics.events)
    findings.push(
      ...(await examineTopic(kafka, topic, (health) =>
        health === undefined
          ? [
              failure(
                'topic.exists',
                `topic ${topic} does not exist: its events wait`,
                `kafka-topics.sh --create --topic ${topic} --partitions … --replication-factor ${replicasWanted}`,
              ),
            ]
          : durabilityOf(topic, health),
      )),
    )
  return findings
}

async function examineTopic(
  kafka: KafkaClient,
  topic: string,
  judge: (topic: ExaminedTopic | undefined) => readonly Finding[],
): Promise<readonly Finding[]> {
  try {
    const health = await readTopicHealth(kafka, topic)
    return judge(health && { ...health, settings: await readTopicSettings(kafka, topic, settings) })
  } catch (error) {
    return [failureOf('topic.visible', error)]
  }
}

function progressFindings(
  { progress, shards }: ExaminedTopics,
  health: ExaminedTopic | undefined,
): readonly Finding[] {
  if (health === undefined)
    return [
      warning(
        'progress.exists',
        `topic ${progress} does not exist: the first start of the relay makes it, with the broker's replication factor`,
        `set progress.replicationFactor to ${replicasWanted}`,
      ),
    ]
  const policy = health.settings.get('cleanup.policy')
  return [
    policy === 'compact'
      ? ok('progress.compaction', `${progress} is compacted, and nothing else`)
      : failure(
          'progress.compaction',
          `cleanup.policy of ${progress} is ${policy}: Kafka would remove the position`,
          `kafka-configs.sh --alter --topic ${progress} --add-config cleanup.policy=compact`,
        ),
    health.partitions >= shards
      ? ok('progress.partitions', `${progress} has a partition for each of ${shards} shards`)
      : warning(
          'progress.partitions',
          `${progress} has ${health.partitions} partitions for ${shards} shards: the relay adds some`,
        ),
    ...durabilityOf(progress, health),
  ]
}

/** Whether the end of one broker can take an acknowledged record away. */
function durabilityOf(
  topic: string,
  { replicas, inSync, settings: values }: ExaminedTopic,
): readonly Finding[] {
  const insync = Number(values.get('min.insync.replicas'))
  const unclean = values.get('unclean.leader.election.enable') === 'true'
  const findings: Finding[] = []
  if (replicas < replicasWanted)
    findings.push(
      failure(
        'topic.replication',
        `${topic} has ${replicas} replica${replicas === 1 ? '' : 's'}: ${replicas === 1 ? 'the end of one broker loses it' : 'while one broker is away, nothing can be written safely'}`,
        `reassign its partitions to ${replicasWanted} brokers (kafka-reassign-partitions.sh)`,
      ),
    )
  if (insync < inSyncWanted)
    findings.push(
      failure(
        'topic.min-insync',
        `min.insync.replicas of ${topic} is ${insync}: an acknowledged event may be on one broker only`,
        `kafka-configs.sh --alter --topic ${topic} --add-config min.insync.replicas=${inSyncWanted}`,
      ),
    )
  if (unclean)
    findings.push(
      failure(
        'topic.unclean-election',
        `${topic} may elect a leader that lacks acknowledged events (unclean.leader.election.enable)`,
        `kafka-configs.sh --alter --topic ${topic} --add-config unclean.leader.election.enable=false`,
      ),
    )
  if (inSync < Math.min(replicas, inSyncWanted))
    findings.push(
      warning(
        'topic.in-sync',
        `${topic}: a partition has ${inSync} of ${replicas} replicas in sync right now`,
      ),
    )
  return findings.length > 0 ? findings : [ok('topic.durability', `${topic} outlives the end of a broker`)]
}
