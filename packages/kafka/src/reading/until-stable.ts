import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { within } from '../options.js'
import { openTransactions, type PartitionAddress } from '../partition-offsets.js'
import { askTopic } from './topic-offsets.js'

/** How far somebody has written in a partition. */
export interface WrittenUpTo extends PartitionAddress {
  /** Of the last record. */
  readonly offset: bigint
}

export interface UntilStableOptions {
  readonly written?: readonly WrittenUpTo[]
  /** Topics of which nobody remembers how far they were written: everything that is in their logs now. */
  readonly topics?: readonly string[]
  /** Of the session that wrote: a transaction of one of them that is still open is over, and its marker was skipped. */
  readonly producerIds?: readonly bigint[]
  /** Default 10,000; 0 to 300,000. */
  readonly patienceMs?: number
  readonly signal?: AbortSignal
}

const retry = { minMs: 5, maxMs: 250 }
// For the requests of the last round, and for finding out what stands in the way.
const answerMs = 40_000

/**
 * Waits until the last stable offset of partitions has passed what was written to them: until every commit marker is
 * there. Kafka 4.3 acknowledges a commit whose marker it skips (KAFKA-20734), so an acknowledgment alone is no reason to
 * forget the records. A request per topic and leader.
 *
 * @throws OutboxError KAFKA_TRANSACTION_TORN, KAFKA_PARTITION_UNSTABLE for a transaction of somebody else,
 *   KAFKA_RECORDS_LOST when the log ends before, KAFKA_TOPIC_UNAVAILABLE, KAFKA_UNAVAILABLE
 */
export async function untilStable(client: KafkaClient, options: UntilStableOptions): Promise<void> {
  const { written = [], topics = [], producerIds = [], signal } = options
  const patienceMs = within('patienceMs', options.patienceMs ?? 10_000, 0, 300_000)
  const cluster = clusterOf(client)
  using deadline = new Deadline(patienceMs + answerMs, 'waiting for commit markers', signal)
  const patientUntilMs = performance.now() + patienceMs
  for (const [topic, targets] of await targetsOf(cluster, written, topics, deadline)) {
    const waiting = { cluster, topic, targets, deadline, patientUntilMs }
    const behind = await waitFor(waiting)
    if (behind !== undefined) throw await explain(behind, cluster, producerIds, deadline)
  }
}

/** By topic and partition, the offset that has to be passed. */
type Targets = ReadonlyMap<string, ReadonlyMap<number, bigint>>

async function targetsOf(
  cluster: Cluster,
  written: readonly WrittenUpTo[],
  topics: readonly string[],
  deadline: Deadline,
): Promise<Targets> {
  const targets = new Map<string, Map<number, bigint>>()
  const add = ({ topic, partition, offset }: WrittenUpTo): void => {
    let ofTopic = targets.get(topic)
    if (ofTopic === undefined) targets.set(topic, (ofTopic = new Map()))
    if (offset > (ofTopic.get(partition) ?? -1n)) ofTopic.set(partition, offset)
  }
  for (const at of written) add(at)
  for (const topic of topics) {
    const { offsets } = await askTopic(cluster, topic, ['highWatermark'], deadline)
    for (const [partition, [end = 0n]] of offsets.entries()) add({ topic, partition, offset: end - 1n })
  }
  return targets
}

interface Waiting {
  readonly cluster: Cluster
  readonly topic: string
  readonly targets: ReadonlyMap<number, bigint>
  readonly deadline: Deadline
  readonly patientUntilMs: number
}

interface Behind extends WrittenUpTo {
  readonly lastStableOffset: bigint
  readonly highWatermark: bigint
}

/** Undefined when all is stable; otherwise one that is not, when patience is at an end. */
async function waitFor(waiting: Waiting): Promise<Behind | undefined> {
  const { cluster, topic, targets, deadline, patientUntilMs } = waiting
  for (let attempt = 1; ; attempt++) {
    const { offsets } = await askTopic(cluster, topic, ['lastStableOffset', 'highWatermark'], deadline)
    const behind = [...targets].flatMap(([partition, offset]): Behind[] => {
      const [lastStableOffset = -1n, highWatermark = -1n] = offsets[partition] ?? []
      return lastStableOffset > offset ? [] : [{ topic, partition, offset, lastStableOffset, highWatermark }]
    })
    if (behind.length === 0 || performance.now() >= patientUntilMs) return behind[0]
    await deadline.delay(nextDelayMs(retry, attempt))
  }
}

async function explain(
  { topic, partition, offset, lastStableOffset, highWatermark }: Behind,
  cluster: Cluster,
  producerIds: readonly bigint[],
  deadline: Deadline,
): Promise<OutboxError> {
  const at = `${topic}-${partition}`
  const details = { topic, partition, offset: String(offset), lastStableOffset: String(lastStableOffset) }
  if (highWatermark <= offset) {
    return new OutboxError(
      'KAFKA_RECORDS_LOST',
      `${at}: the record at offset ${offset} was acknowledged, and the log ends at ${highWatermark}`,
      { details: { ...details, highWatermark: String(highWatermark) } },
    )
  }
  const open = (await openTransactions(cluster, { topic, partition }, deadline)).filter(
    ({ transactionStartOffset }) => transactionStartOffset <= offset,
  )
  const torn = open.find(({ producerId }) => producerIds.includes(producerId))
  if (torn !== undefined) {
    return new OutboxError(
      'KAFKA_TRANSACTION_TORN',
      `${at}: producer ${torn.producerId} is ours, and its transaction from offset ${torn.transactionStartOffset} on is over, but not on this partition: its marker was skipped (KAFKA-20734)`,
      { details: { ...details, producerId: String(torn.producerId), producerEpoch: torn.producerEpoch } },
    )
  }
  const names = open.map(
    ({ producerId, transactionStartOffset }) =>
      `producer ${producerId} (open from offset ${transactionStartOffset})`,
  )
  return new OutboxError(
    'KAFKA_PARTITION_UNSTABLE',
    `${at}: what was written up to offset ${offset} stays behind ${names.join(', ') || 'an open transaction'}`,
    { details: { ...details, producerIds: open.map(({ producerId }) => String(producerId)) } },
  )
}
