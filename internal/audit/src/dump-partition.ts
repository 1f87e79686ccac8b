/**
 * What lies in a partition's files, by Apache's own DumpLogSegments: every record and every marker, whatever became of its
 * transaction. Offsets are text, since they may exceed what a number holds.
 */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { startApacheTool, type ApacheTool } from './apache-tool.js'

export interface DumpPartitionOptions extends Pick<ApacheTool, 'classpath' | 'signal'> {
  /** The folder in which the broker keeps its partitions. */
  readonly logDir: string
  readonly topic: string
  readonly partition: number
}

export interface DumpedRecord {
  readonly offset: string
  readonly producerId: string
  /** With the producer's id it names the transaction, where each has an epoch of its own. */
  readonly producerEpoch: string
  readonly value: string
}

/** The end of a producer's transaction. */
export interface DumpedMarker {
  readonly offset: string
  readonly producerId: string
  readonly ends: 'COMMIT' | 'ABORT'
}

/** In the order of the log. */
export type Dumped = DumpedRecord | DumpedMarker

export async function dumpPartition({
  logDir,
  topic,
  partition,
  ...java
}: DumpPartitionOptions): Promise<readonly Dumped[]> {
  const directory = path.join(logDir, `${topic}-${partition}`)
  const segments = (await readdir(directory)).filter((name) => name.endsWith('.log')).sort()
  const tool = startApacheTool({
    ...java,
    mainClass: 'org.apache.kafka.tools.DumpLogSegments',
    arguments: ['--print-data-log', '--files', segments.map((name) => path.join(directory, name)).join(',')],
  })
  return parseDump((await tool.output).toString())
}

/** A line per batch, then one per record that begins with `|`. */
export function parseDump(output: string): readonly Dumped[] {
  const dumped: Dumped[] = []
  let producerId = '-1'
  let producerEpoch = '-1'
  for (const line of output.split('\n')) {
    const [, id = producerId, epoch = producerEpoch] =
      /^baseOffset: .* producerId: (-?\d+) producerEpoch: (-?\d+) /.exec(line) ?? []
    producerId = id
    producerEpoch = epoch
    const [, offset, rest = ''] = /^\| offset: (\d+) (.*)$/.exec(line) ?? []
    if (offset === undefined) continue
    const ends = /\bendTxnMarker: (COMMIT|ABORT)\b/.exec(rest)?.[1]
    if (ends === 'COMMIT' || ends === 'ABORT') dumped.push({ offset, producerId, ends })
    else dumped.push({ offset, producerId, producerEpoch, value: /\bpayload: (.*)$/.exec(rest)?.[1] ?? '' })
  }
  return dumped
}
