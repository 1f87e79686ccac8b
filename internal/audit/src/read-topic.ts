/**
 * A whole topic, as Apache's own Java console consumer reads it: the client under test is never its own witness.
 *
 * The consumer runs in a group that commits its position. The position moves over control records too, so when it has
 * reached the topic's end, every record before it was written out: nothing depends on a timeout that guesses the end.
 */
import { randomUUID } from 'node:crypto'
import type { Admin } from 'kafkajs'
import { AuditError } from './audit-error.js'
import { formatterOptions, newConsoleFormat, parseConsoleOutput } from './console-format.js'
import {
  commandConfigOption,
  readEndOffsets,
  waitUntilStable,
  withAdmin,
  type Cluster,
  type EndOffsets,
} from './end-offsets.js'
import { startApacheTool } from './apache-tool.js'
import { pollUntil } from './poll-until.js'
import type { TopicRecord } from './topic-record.js'

export interface ReadOptions extends Cluster {
  readonly isolation: 'read_committed' | 'read_uncommitted'
  /** Gives up after this, with an error and not with a verdict. Default 120,000. */
  readonly withinMs?: number
}

export interface ReadTopicOptions extends ReadOptions {
  readonly topic: string
}

export interface ReadTopicsOptions extends ReadOptions {
  readonly topics: readonly string[]
}

// One each, since the console consumer cannot print the topic of a record; more than the machine has cores only slows all.
const atOnce = 2

/** Every record from the topic's beginning to its end at the time of the call, partition by partition in offset order. */
export async function readTopic({ topic, ...options }: ReadTopicOptions): Promise<TopicRecord[]> {
  const records = await readTopics({ ...options, topics: [topic] })
  return records.get(topic) ?? []
}

/** As {@link readTopic}, for several topics. */
export async function readTopics({
  topics,
  ...options
}: ReadTopicsOptions): Promise<ReadonlyMap<string, TopicRecord[]>> {
  const deadline = AbortSignal.timeout(options.withinMs ?? 120_000)
  const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal])
  const bounded = { ...options, signal }
  return await withAdmin(bounded, async (admin) => {
    const ends = await readEndOffsets(bounded, topics)
    const read = new Map<string, TopicRecord[]>()
    const waiting = [...ends]
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        read.set(next[0], await readToEnd(bounded, admin, ...next))
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    return read
  })
}

async function readToEnd(
  options: ReadOptions & { signal: AbortSignal },
  admin: Admin,
  topic: string,
  ends: EndOffsets,
): Promise<TopicRecord[]> {
  if (options.isolation === 'read_committed') await waitUntilStable(admin, topic, ends, options.signal)
  const format = newConsoleFormat()
  const group = `audit-${randomUUID()}`
  const consumer = startApacheTool({
    ...options,
    mainClass: 'org.apache.kafka.tools.consumer.ConsoleConsumer',
    arguments: [
      `--bootstrap-server=${options.brokers.join(',')}`,
      `--topic=${topic}`,
      '--from-beginning',
      `--isolation-level=${options.isolation}`,
      `--group=${group}`,
      ...commandConfigOption(options),
      '--command-property=enable.auto.commit=true',
      '--command-property=auto.commit.interval.ms=100',
      ...formatterOptions(format),
    ],
  })
  const finished = new AbortController()
  const until = AbortSignal.any([options.signal, finished.signal])
  try {
    const ended = consumer.output.then(() =>
      Promise.reject(new AuditError(`${topic}: the console consumer ended by itself`)),
    )
    await Promise.race([ended, untilPositionAt(admin, group, topic, ends, until)])
  } finally {
    finished.abort()
    consumer.end()
  }
  const records = parseConsoleOutput(topic, format, await consumer.output)
  await admin.deleteGroups([group]).catch(() => undefined) // litter, not evidence: the group expires by itself
  // What was appended after the call belongs to another reading.
  return records
    .filter(({ partition, offset }) => offset < (ends.get(partition) ?? 0))
    .sort((one, other) => one.partition - other.partition || one.offset - other.offset)
}

async function untilPositionAt(
  admin: Admin,
  group: string,
  topic: string,
  ends: EndOffsets,
  signal: AbortSignal,
): Promise<void> {
  const complaint = `${topic}: the console consumer did not reach the end in time`
  await pollUntil(complaint, signal, async () => {
    const [read] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
    const position = new Map(read?.partitions.map(({ partition, offset }) => [partition, Number(offset)]))
    return [...ends].every(([partition, end]) => end === 0 || (position.get(partition) ?? -1) >= end)
  })
}
