/** Topics for tests: a name of their own, and ready for the first record. */
import { Kafka, logLevel, type Admin } from 'kafkajs'
import { randomName } from './random-name.js'
import { sharedStack } from './shared-stack.js'

export interface CreateTopicOptions {
  /** 1 unless given. */
  readonly partitions?: number
  readonly config?: Readonly<Record<string, string>>
  /** The shared stack's unless given. */
  readonly brokers?: readonly string[]
}

const leaderTriesMax = 200
const leaderTryMs = 25

// Kafka has nothing to wait on for this. Metadata name a leader some milliseconds before that broker takes records
// (NOT_LEADER_OR_FOLLOWER until then), so the question is one that only a leader at work answers: the offsets.
const untilLed = async (admin: Admin, topic: string, partitions: number): Promise<void> => {
  let cause: unknown
  for (let attempt = 0; attempt < leaderTriesMax; attempt += 1) {
    try {
      if ((await admin.fetchTopicOffsets(topic)).length === partitions) return
    } catch (error) {
      cause = error
    }
    await new Promise((resolve) => setTimeout(resolve, leaderTryMs))
  }
  throw new Error(`${topic}: not every partition has a leader after ${leaderTriesMax} tries`, { cause })
}

/** Creates `<prefix>-<random>` and resolves with that name when every partition has a leader. */
export const createTopic = async (prefix: string, options: CreateTopicOptions = {}): Promise<string> => {
  const { partitions = 1, config = {}, brokers = sharedStack().kafka.brokers } = options
  const topic = randomName(prefix)
  const client = new Kafka({ clientId: 'stack', brokers: [...brokers], logLevel: logLevel.NOTHING })
  const admin = client.admin({ retry: { retries: 0 } })
  await admin.connect()
  try {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    await admin.createTopics({
      waitForLeaders: false, // it would give up at the first answer from a broker that has not heard of the topic yet
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
    })
    await untilLed(admin, topic, partitions)
  } finally {
    await admin.disconnect()
  }
  return topic
}
