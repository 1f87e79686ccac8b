/**
 * Where a topic ends. Two ends matter: the high watermark (what is written) and the last stable offset (what is
 * decided). A read_committed reader stops at the second; a judge that did not wait until it had passed the first would
 * call an event lost whose transaction is merely open.
 */
import { Kafka, logLevel, type Admin, type KafkaConfig } from 'kafkajs'
import { AuditError } from './audit-error.js'
import { startApacheTool } from './apache-tool.js'
import { pollUntil } from './poll-until.js'

/** Partition to the offset after its last record, control records included. */
export type EndOffsets = ReadonlyMap<number, number>

export interface Cluster {
  /** What goes after `java -cp`: the jars of kafka_2.13 and kafka-tools. */
  readonly classpath: string
  readonly brokers: readonly string[]
  /** Of who may read everything, where not everybody may. */
  readonly sasl?: KafkaConfig['sasl']
  /** The same for Apache's tools: a file of properties. */
  readonly commandConfig?: string
  readonly signal?: AbortSignal | undefined
}

/** Connects, and disconnects whatever happens. kafkajs only answers questions about offsets here; it reads no record. */
export async function withAdmin<Result>(
  { brokers, sasl }: Cluster,
  work: (admin: Admin) => Promise<Result>,
): Promise<Result> {
  const kafka = new Kafka({
    clientId: 'audit',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    ...(sasl !== undefined && { sasl }),
  })
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

/** High watermarks, by Apache's own GetOffsetShell: one call for all topics. */
export async function readEndOffsets(
  cluster: Cluster,
  topics: readonly string[],
): Promise<ReadonlyMap<string, EndOffsets>> {
  const pattern = topics.map((topic) => topic.replaceAll('.', '\\.')).join(',')
  const tool = startApacheTool({
    ...cluster,
    mainClass: 'org.apache.kafka.tools.GetOffsetShell',
    arguments: [
      '--bootstrap-server',
      cluster.brokers.join(','),
      '--topic-partitions',
      pattern,
      '--time',
      'latest',
      ...commandConfigOption(cluster),
    ],
  })
  const ends = new Map<string, Map<number, number>>(topics.map((topic) => [topic, new Map()]))
  for (const line of (await outputOrNothing(tool.output)).toString().split('\n')) {
    const [, topic, partition, offset] = /^(.+):(\d+):(\d+)$/.exec(line) ?? []
    if (topic !== undefined) ends.get(topic)?.set(Number(partition), Number(offset))
  }
  for (const [topic, partitions] of ends) {
    if (partitions.size === 0) throw new AuditError(`topic ${topic} does not exist`)
  }
  return ends
}

/** How Apache's tools log in. */
export const commandConfigOption = ({ commandConfig }: Cluster): string[] =>
  commandConfig === undefined ? [] : [`--command-config=${commandConfig}`]

/** The tool ends with an error when no topic at all matches; that is an answer. */
const outputOrNothing = (output: Promise<Buffer>): Promise<Buffer> =>
  output.catch((error: unknown) => {
    if (error instanceof AuditError && error.message.includes('Could not match any topic-partitions'))
      return Buffer.alloc(0)
    throw error
  })

/** Waits until no transaction is open before `ends`. */
export async function waitUntilStable(
  admin: Admin,
  topic: string,
  ends: EndOffsets,
  signal: AbortSignal,
): Promise<void> {
  await pollUntil(`${topic}: a transaction is open, so the topic cannot be judged`, signal, async () => {
    // kafkajs asks with isolation level read_committed, so its `high` is the last stable offset.
    const partitions = await admin.fetchTopicOffsets(topic)
    return partitions.every(({ partition, high }) => Number(high) >= (ends.get(partition) ?? 0))
  })
}
