/** A group's committed offset, as Apache's own ConsumerGroupCommand reports it. */
import type { Cluster } from './end-offsets.js'
import { startApacheTool } from './apache-tool.js'

export interface ReadGroupOffsetOptions extends Cluster {
  readonly group: string
  readonly topic: string
  readonly partition: number
}

/** In decimal digits, since it may exceed what a number holds; undefined when the group has none there. */
export async function readGroupOffset({
  group,
  topic,
  partition,
  ...cluster
}: ReadGroupOffsetOptions): Promise<string | undefined> {
  const tool = startApacheTool({
    ...cluster,
    mainClass: 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
    arguments: [`--bootstrap-server=${cluster.brokers.join(',')}`, '--describe', `--group=${group}`],
  })
  for (const line of (await tool.output).toString().split('\n')) {
    const [, rowTopic, rowPartition, offset] = line.trim().split(/\s+/)
    if (rowTopic === topic && rowPartition === String(partition) && /^\d+$/.test(offset ?? '')) return offset
  }
  return undefined
}
