import { AuditError, readTopics } from '@internal/audit'
import type { KafkaCluster } from '@internal/stack'
import { unpad } from './padding.js'
import { Failed } from './verdict.js'

// Longer than any transaction of a case may stay open before the coordinator ends it.
const withinMs = 120_000

/**
 * What a read_committed reader sees in the topics, by Apache's own consumer, past the proxies.
 * @throws Failed when a transaction that nobody ends keeps readers from the end of a topic
 */
export async function committedValues(
  { brokers, judgeClasspath: classpath }: KafkaCluster,
  topics: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    const read = await readTopics({
      brokers,
      classpath,
      topics,
      isolation: 'read_committed',
      withinMs,
      signal,
    })
    return [...read.values()].flat().map(({ value }) => unpad(value?.toString() ?? 'null'))
  } catch (error) {
    if (error instanceof AuditError && error.message.includes('a transaction is open'))
      throw new Failed('a transaction stays open, and read_committed readers are stuck in front of it')
    throw error
  }
}
