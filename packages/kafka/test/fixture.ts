import { createTopic, randomName, sharedStack, startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { readTopic } from '@internal/audit'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import {
  connectKafka,
  ensureProgressTopic,
  openSession,
  PartitionRecords,
  type ClaimedSession,
  type KafkaClient,
  type OpenSessionOptions,
} from '../src/index.js'

/** One for each version of Kafka's transaction protocol. */
export const kafkaVersions = ['4.3', '3.9'] as const

/** Kafka of that version for the tests of a `describe`: the shared broker, or one of its own where it has to be. */
export function useKafka(version: (typeof kafkaVersions)[number]): { brokers(): readonly string[] } {
  if (version === '4.3') return { brokers: () => sharedStack().kafka.brokers }
  let kafka: PrivateKafka
  beforeAll(async () => {
    kafka = await startPrivateKafka({ version })
  })
  afterAll(() => kafka[Symbol.asyncDispose]())
  return { brokers: () => kafka.brokers }
}

/** What most tests need: a client, a progress topic, a topic for events, and sessions of one shard. */
export interface Fixture {
  readonly client: KafkaClient
  readonly brokers: readonly string[]
  readonly progress: string
  readonly topic: string
  readonly transactionalIds: readonly [string, string]
  /** Opens a session with the same ids each time: as a restart, or as a rival, of the ones before. */
  open(options?: Partial<OpenSessionOptions>): Promise<ClaimedSession>
  /** Records whose key and value are the given texts. */
  records(texts: readonly string[], partition?: number): PartitionRecords
  /** The values in the topic, as Apache's own consumer reads them, read_committed, by partition and offset. */
  committed(): Promise<string[]>
}

export async function setUp(
  options: {
    readonly partitions?: number
    readonly brokers?: readonly string[]
    /** Where the judge reads, when faults are to be kept away from it. */
    readonly judgeBrokers?: readonly string[]
  } = {},
): Promise<Fixture> {
  const { partitions = 1, brokers = sharedStack().kafka.brokers, judgeBrokers = brokers } = options
  const client = await connectKafka({ brokers })
  onTestFinished(() => client.close())
  const progress = randomName('progress')
  await ensureProgressTopic(client, { topic: progress, partitions: 1 })
  const topic = await createTopic('events', { partitions, brokers: judgeBrokers })
  const shard = randomName('shard')
  const transactionalIds = [`${shard}:a`, `${shard}:b`] as const
  const { maxMessageBytes } = await client.describeTopic(topic)
  return {
    client,
    brokers,
    progress,
    topic,
    transactionalIds,
    async open(overrides = {}) {
      const claim = { topic: progress, partition: 0, key: Buffer.from('claim'), value: Buffer.from('claim') }
      const session = await openSession(client, { transactionalIds, claim, ...overrides })
      onTestFinished(() => session.close())
      return session
    },
    records: (texts, partition = 0) => recordsOf(topic, partition, maxMessageBytes, texts),
    async committed() {
      const { classpath } = sharedStack().kafka // of the newest version: the judge reads what any broker holds
      const records = await readTopic({
        brokers: judgeBrokers,
        classpath,
        topic,
        isolation: 'read_committed',
      })
      return records.map(({ value }) => value?.toString() ?? 'null')
    },
  }
}

/** Records whose key and value are the given texts. */
export function recordsOf(
  topic: string,
  partition: number,
  maxMessageBytes: number,
  texts: readonly string[],
): PartitionRecords {
  const records = new PartitionRecords(topic, partition, { maxMessageBytes })
  for (const text of texts) {
    const source = Buffer.from(text)
    records.append(Date.now(), source, 0, source.length, 0, source.length, 0, [])
  }
  return records
}

/** `name-0` to `name-<count - 1>`. */
export const numbered = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${name}-${index}`)
