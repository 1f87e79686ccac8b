import { randomBytes } from 'node:crypto'
import { readLogBatches } from '@internal/audit'
import { createTopic, sharedStack, startPrivateKafka, type PrivateKafka } from '@internal/stack'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectKafka,
  encodeHeader,
  PartitionRecords,
  readPartition,
  type Compression,
  type KafkaClient,
} from '../src/index.js'
import { kafkaVersions, setUp } from './fixture.js'
import { lineOf, readWithJava, runJava, sampleRecords, type SampleRecord } from './record-lines.js'

let kafka: PrivateKafka

/** Java's client and tools are those of the newest version. */
const java = () => ({ brokers: kafka.brokers, classpath: sharedStack().kafka.classpath })

const types = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const nowMs = Date.now()

async function topicWith(config: Readonly<Record<string, string>> = {}): Promise<string> {
  return await createTopic('codec', { brokers: kafka.brokers, config })
}

async function recordsOf(
  client: KafkaClient,
  topic: string,
  compression: Compression,
  samples: readonly SampleRecord[],
): Promise<PartitionRecords> {
  const { maxMessageBytes } = await client.describeTopic(topic)
  const records = new PartitionRecords(topic, 0, { maxMessageBytes, compression })
  for (const { timestampMs, key, value, headers } of samples) {
    const source = Buffer.concat([key ?? Buffer.alloc(0), value ?? Buffer.alloc(0)])
    const keyEnd = key?.length ?? 0
    const pieces = headers.map(([name, bytes]) => encodeHeader(name, bytes))
    const valueStart = value === null ? -1 : keyEnd
    records.append(
      timestampMs,
      source,
      key === null ? -1 : 0,
      keyEnd,
      valueStart,
      source.length,
      pieces.length,
      pieces,
    )
  }
  return records
}

/** Publishes the samples to each topic, in one transaction, and waits until it is decided. */
async function publish(
  topics: readonly (readonly [topic: string, compression: Compression])[],
  samples: readonly SampleRecord[],
): Promise<void> {
  const { client, open } = await setUp({ brokers: kafka.brokers })
  const session = await open()
  const partitions = topics.map(([topic, compression]) => recordsOf(client, topic, compression, samples))
  await session.publish({ partitions: await Promise.all(partitions) })
  await open() // the next session waits for the markers
}

/** The lines of partition 0, as our reader finds its records. */
async function readWithUs(topic: string): Promise<string[]> {
  await using client = await connectKafka({ brokers: kafka.brokers })
  const lines: string[] = []
  for await (const record of readPartition(client, { topic, partition: 0 })) lines.push(lineOf(record))
  return lines
}

/** How the batches of records lie in the log of each topic; markers are left out. */
async function codecsInLog(
  topics: readonly string[],
): Promise<Record<string, { readonly codecs: readonly string[]; readonly bytes: number }>> {
  const logs = await readLogBatches({ ...java(), logDir: kafka.logDir, topics })
  return Object.fromEntries(
    [...logs].map(([topic, batches]) => {
      const data = batches.filter(({ control }) => !control)
      const bytes = data.reduce((sum, batch) => sum + batch.bytes, 0)
      return [topic, { codecs: [...new Set(data.map(({ codec }) => codec))], bytes }]
    }),
  )
}

describe.each(kafkaVersions)('on Kafka %s', (version) => {
  beforeAll(async () => {
    kafka = await startPrivateKafka({ version }) // a broker whose log files can be looked at
  })
  afterAll(() => kafka[Symbol.asyncDispose]())

  test('what we write with any codec, Java reads byte for byte, and so do we; the log has it compressed', async () => {
    const samples = sampleRecords(nowMs)
    const compressions: readonly Compression[] = [
      'none',
      ...types,
      { type: 'gzip', level: 9 },
      { type: 'zstd', level: 19 },
    ]
    const topics = await Promise.all(
      compressions.map(async (compression) => [await topicWith(), compression] as const),
    )
    await publish(topics, samples)

    const expected = samples.map(lineOf)
    const names = topics.map(([topic]) => topic)
    const theirs = await readWithJava(java(), names)
    const log = await codecsInLog(names)
    const plainBytes = log[names[0] ?? '']?.bytes ?? 0
    for (const [topic, compression] of topics) {
      const type = typeof compression === 'string' ? compression : compression.type
      expect(theirs.get(topic)?.lines, type).toEqual(expected)
      expect(await readWithUs(topic), type).toEqual(expected)
      expect(log[topic]?.codecs, type).toEqual([type])
      if (type !== 'none') expect(log[topic]?.bytes, type).toBeLessThan(plainBytes / 3)
    }
  })

  test('what Java writes with any codec we read byte for byte', async () => {
    const expected = sampleRecords(nowMs).map(lineOf)
    const topics = await Promise.all(types.map(async (type) => [await topicWith(), type] as const))
    const targets = topics.map(([topic, type]) => `${topic}=${type}`)
    await runJava(
      'WriteRecords',
      java().classpath,
      kafka.brokers.join(),
      { file: expected.join('\n') },
      ...targets,
    )

    const log = await codecsInLog(topics.map(([topic]) => topic))
    for (const [topic, type] of topics) {
      expect(await readWithUs(topic), type).toEqual(expected)
      expect(log[topic]?.codecs, type).toEqual([type])
    }
  })

  test('what a broker compresses anew, for its topic, both read byte for byte', async () => {
    const samples = sampleRecords(nowMs)
    const pairs: readonly (readonly [ours: Compression, topics: string])[] = [
      ['none', 'gzip'],
      ['none', 'zstd'],
      ['gzip', 'lz4'],
      ['lz4', 'snappy'],
      ['snappy', 'zstd'],
      ['zstd', 'uncompressed'],
    ]
    const topics = await Promise.all(
      pairs.map(
        async ([compression, type]) =>
          [await topicWith({ 'compression.type': type }), compression, type] as const,
      ),
    )
    await publish(
      topics.map(([topic, compression]) => [topic, compression]),
      samples,
    )

    const expected = samples.map(lineOf)
    const names = topics.map(([topic]) => topic)
    const theirs = await readWithJava(java(), names)
    const log = await codecsInLog(names)
    for (const [topic, compression, type] of topics) {
      const name = `${JSON.stringify(compression)} to ${type}`
      expect(log[topic]?.codecs, name).toEqual([type === 'uncompressed' ? 'none' : type])
      expect(theirs.get(topic)?.lines, name).toEqual(expected)
      expect(await readWithUs(topic), name).toEqual(expected)
    }
  })

  test('a batch that compression would make larger goes out as it is', async () => {
    const noise = { timestampMs: nowMs, key: null, value: randomBytes(100_000), headers: [] }
    const topics = await Promise.all(types.map(async (type) => [await topicWith(), type] as const))
    await publish(topics, [noise])
    const names = topics.map(([topic]) => topic)
    const theirs = await readWithJava(java(), names)
    const log = await codecsInLog(names)
    for (const topic of names) {
      expect(log[topic]?.codecs).toEqual(['none'])
      expect(theirs.get(topic)?.lines).toEqual([lineOf(noise)])
    }
  })

  test('timestamps of any year survive; a topic with the time of appending gives its own to all records', async () => {
    const years = [Date.UTC(2026, 0), Date.parse('0000-01-01T00:00:00Z'), -1_000, 0, Date.UTC(9999, 11, 31)]
    const samples = years.map((timestampMs) => ({
      timestampMs,
      key: null,
      value: Buffer.from('x'.repeat(200)),
      headers: [],
    }))
    const created = { 'message.timestamp.after.max.ms': '9223372036854775807' }
    const appended = { 'message.timestamp.type': 'LogAppendTime' }
    const topics = [
      [await topicWith(created), 'none'],
      [await topicWith(created), 'zstd'],
      [await topicWith(appended), 'none'],
      [await topicWith(appended), 'lz4'],
    ] as const
    const fromMs = Date.now()
    await publish(topics, samples)
    const toMs = Date.now()

    const theirs = await readWithJava(
      java(),
      topics.map(([topic]) => topic),
    )
    for (const [index, [topic]] of topics.entries()) {
      const read = await readWithUs(topic)
      expect(read).toEqual(theirs.get(topic)?.lines)
      const times = read.map((line) => Number(line.split(' ')[0]))
      if (index < 2) expect(times).toEqual(years)
      else {
        expect(theirs.get(topic)?.timestampTypes).toEqual(new Set(['LogAppendTime']))
        expect(new Set(times).size).toBe(1)
        expect(times[0]).toBeGreaterThanOrEqual(fromMs)
        expect(times[0]).toBeLessThanOrEqual(toMs)
      }
    }
  })
})
