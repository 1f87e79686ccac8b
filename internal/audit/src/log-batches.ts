/** What a broker wrote down, batch by batch, as Apache's DumpLogSegments tells it from the files. */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { AuditError } from './audit-error.js'
import { startApacheTool } from './apache-tool.js'

/** A record batch in the log of a partition. */
export interface LogBatch {
  readonly baseOffset: number
  readonly records: number
  /** `none`, `gzip`, `snappy`, `lz4` or `zstd`. */
  readonly codec: string
  readonly bytes: number
  readonly transactional: boolean
  readonly control: boolean
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
}

export interface LogBatchesOptions {
  /** What goes after `java -cp`. */
  readonly classpath: string
  /** The broker's, where the partitions lie. */
  readonly logDir: string
  readonly topics: readonly string[]
  readonly signal?: AbortSignal
}

/** The batches of each topic, all partitions one after the other. */
export async function readLogBatches(
  options: LogBatchesOptions,
): Promise<ReadonlyMap<string, readonly LogBatch[]>> {
  const segments = await segmentsOf(options)
  const output = await startApacheTool({
    ...options,
    mainClass: 'org.apache.kafka.tools.DumpLogSegments',
    arguments: ['--files', [...segments.keys()].join(',')],
  }).output
  const batches = new Map<string, LogBatch[]>(options.topics.map((topic) => [topic, []]))
  for (const { file, batch } of parseDump(output.toString()))
    batches.get(segments.get(file) ?? '')?.push(batch)
  return batches
}

/** Path of each segment, to its topic. */
async function segmentsOf({ logDir, topics }: LogBatchesOptions): Promise<ReadonlyMap<string, string>> {
  const segments = new Map<string, string>()
  for (const directory of (await readdir(logDir)).sort()) {
    const topic = directory.replace(/-\d+$/, '')
    if (!topics.includes(topic)) continue
    for (const file of (await readdir(path.join(logDir, directory))).sort())
      if (file.endsWith('.log')) segments.set(path.join(logDir, directory, file), topic)
  }
  if (segments.size === 0) throw new AuditError(`no log of ${topics.join(', ')} in ${logDir}`)
  return segments
}

const batchLine =
  /^baseOffset: (?<baseOffset>\d+) .* count: (?<records>\d+) .* isTransactional: (?<transactional>true|false) isControl: (?<control>true|false) .* (?<timestampType>CreateTime|LogAppendTime): -?\d+ size: (?<bytes>\d+) magic: 2 compresscodec: (?<codec>\w+) crc: \d+ isvalid: true/

/** Reads the tool's lines (Kafka 4.3). A batch of another form, or with a wrong checksum, is refused rather than left out. */
export function* parseDump(output: string): Generator<{ readonly file: string; readonly batch: LogBatch }> {
  let file = ''
  for (const line of output.split('\n')) {
    file = /^Dumping (.*)$/.exec(line)?.[1] ?? file
    if (!line.startsWith('baseOffset:')) continue
    const found = batchLine.exec(line)?.groups
    if (found === undefined) throw new AuditError(`not a valid batch of DumpLogSegments: ${line}`)
    const batch = {
      baseOffset: Number(found['baseOffset']),
      records: Number(found['records']),
      codec: found['codec'] ?? '',
      bytes: Number(found['bytes']),
      transactional: found['transactional'] === 'true',
      control: found['control'] === 'true',
      timestampType: found['timestampType'] === 'CreateTime' ? 'CreateTime' : 'LogAppendTime',
    } as const
    yield { file, batch }
  }
}
