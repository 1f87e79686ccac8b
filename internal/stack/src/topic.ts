/** Topics for tests: a name of their own, and ready for the first record. */
import kafkajs, { Kafka, logLevel, type Admin, type KafkaConfig } from 'kafkajs'
import { pollUntil } from './poll-until.js'
import { randomName } from './random-name.js'
import { sharedStack } from './shared-stack.js'

export interface CreateTopicOptions {
  /** 1 unless given, or as many as `assignment` has. */
  readonly partitions?: number
  /** The cluster's default unless given: 3 from three brokers on, else 1. */
  readonly replicationFactor?: number
  /** By partition, the ids of the brokers that keep it; the first is to lead. Instead of numbers left to the cluster. */
  readonly assignment?: readonly (readonly number[])[]
  readonly config?: Readonly<Record<string, string>>
  /** The shared stack's unless given. */
  readonly brokers?: readonly string[]
  readonly ssl?: KafkaConfig['ssl']
  readonly sasl?: KafkaConfig['sasl']
}

/** Creates `<prefix>-<random>` and resolves with that name when every partition has a leader. */
export const createTopic = async (prefix: string, options: CreateTopicOptions = {}): Promise<string> => {
  const topic = randomName(prefix)
  await createNamedTopic(topic, options)
  return topic
}

/** As {@link createTopic}, with this very name. */
export const createNamedTopic = async (topic: string, options: CreateTopicOptions = {}): Promise<void> => {
  const { assignment, config = {}, brokers = sharedStack().kafka.brokers, ssl, sasl } = options
  const client = new Kafka({
    clientId: 'stack',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    ...(ssl !== undefined && { ssl }),
    ...(sasl !== undefined && { sasl }),
  })
  const admin = client.admin({ retry: { retries: 0 } })
  const { partitions = assignment?.length ?? 1 } = options
  await admin.connect()
  try {
    await admin.createTopics({
      waitForLeaders: false, // it would give up at the first answer from a broker that has not heard of the topic yet
      topics: [
        {
          topic,
          ...(assignment === undefined
            ? { numPartitions: partitions, replicationFactor: options.replicationFactor ?? -1 }
            : { replicaAssignment: assigned(assignment) }),
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        },
      ],
    })
    await untilLed(admin, topic, partitions)
  } finally {
    await admin.disconnect()
  }
}

const assigned = (assignment: readonly (readonly number[])[]): { partition: number; replicas: number[] }[] =>
  assignment.map((replicas, partition) => ({ partition, replicas: [...replicas] }))

// Kafka has nothing to wait on for this. Metadata name a leader some milliseconds before that broker takes records
// (NOT_LEADER_OR_FOLLOWER until then), so the question is one that only a leader at work answers: the offsets.
const untilLed = (admin: Admin, topic: string, partitions: number): Promise<void> =>
  pollUntil(
    `${topic}: every partition has a leader`,
    async () => (await admin.fetchTopicOffsets(topic)).length === partitions,
  )

/** Deletes all records of a topic; the brokers free their segments after the topic's `file.delete.delay.ms`. */
export const emptyTopic = async (topic: string, brokers: readonly string[]): Promise<void> => {
  await withAdmin(brokers, async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({
      topic,
      partitions: ends.map(({ partition, high }) => ({ partition, offset: high })),
    })
  })
}

/** Sets these settings of a topic, and no others. */
export const setTopicConfig = async (
  topic: string,
  config: Readonly<Record<string, string>>,
  brokers: readonly string[] = sharedStack().kafka.brokers,
): Promise<void> => {
  await withAdmin(brokers, (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC, // of the default export: Node finds no named one
          name: topic,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        },
      ],
    }),
  )
}

const withAdmin = async (
  brokers: readonly string[],
  work: (admin: Admin) => Promise<unknown>,
): Promise<void> => {
  const admin = new Kafka({ clientId: 'stack', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.disconnect()
  }
}
