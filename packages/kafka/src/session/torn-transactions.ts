import { nextDelayMs, OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { openTransactions, type PartitionAddress } from '../partition-offsets.js'
import { describeTransactions } from '../protocol/describe-transactions.js'
import { describeCode, errorCode } from '../protocol/error-codes.js'
import { Producer } from './producer.js'

/** A transaction that is over for its coordinator, and still open on a partition: its marker was skipped (KAFKA-20734). */
export interface TornTransaction extends PartitionAddress {
  readonly transactionalId: string
  readonly producerId: bigint
  /** Offset of its first record on the partition. */
  readonly startOffset: bigint
}

/** Transactional ids that are held for a repair: whoever had them before is fenced, and his transactions are over. */
export interface HeldIds extends AsyncDisposable {
  /** Those of these ids on a partition. A marker may be on its way: it is waited for. */
  tornOn(at: PartitionAddress, options: { readonly patienceMs: number }): Promise<readonly TornTransaction[]>
  /**
   * Ends it on that partition: makes its records visible, or drops them for good.
   * @throws KafkaFailure when the id was taken over, or the outcome is not known: then ask again what is torn
   */
  end(torn: TornTransaction, how: 'commit' | 'abort'): Promise<void>
}

export interface HoldIdsOptions {
  readonly transactionalIds: readonly string[]
  readonly transactionTimeoutMs: number
  readonly signal?: AbortSignal
}

const stepDeadlineMs = 60_000
const retry = { minMs: 5, maxMs: 250 }

/**
 * Takes transactional ids over, in the order given.
 * @throws KafkaFailure as openSession does
 */
export async function holdIds(client: KafkaClient, options: HoldIdsOptions): Promise<HeldIds> {
  const cluster = clusterOf(client)
  const connections = cluster.newConnections()
  const { transactionTimeoutMs, signal } = options
  const producers = options.transactionalIds.map(
    (id) => new Producer(id, { cluster, connections, transactionTimeoutMs }),
  )
  try {
    for (const producer of producers) {
      using deadline = new Deadline(stepDeadlineMs, `taking over ${producer.transactionalId}`, signal)
      await producer.initialise(deadline)
    }
  } catch (error) {
    await connections.close()
    throw error
  }
  return {
    tornOn: async (at, { patienceMs }) => await findTorn(cluster, producers, at, patienceMs, signal),
    end: async (torn, how) => await endTorn(cluster, producers, torn, how, signal),
    [Symbol.asyncDispose]: async () => await connections.close(),
  }
}

export interface FindTornOptions {
  readonly transactionalIds: readonly string[]
  readonly topics: readonly string[]
  /** How long markers are waited for that may be on their way. */
  readonly patienceMs: number
  readonly signal?: AbortSignal
}

/**
 * Looks for torn transactions of these ids on all partitions of some topics, and disturbs nobody: an id whose coordinator
 * has a transaction in hand is passed over. Topics that do not exist have none.
 */
export async function findTornTransactions(
  client: KafkaClient,
  { transactionalIds, topics, patienceMs, signal }: FindTornOptions,
): Promise<readonly TornTransaction[]> {
  const cluster = clusterOf(client)
  using deadline = new Deadline(stepDeadlineMs + patienceMs, 'looking for torn transactions', signal)
  const patientUntilMs = performance.now() + patienceMs
  let torn = await look(cluster, transactionalIds, topics, deadline)
  // One that is really torn is there each time; a running relay's is another one by then.
  for (let attempt = 1; torn.length > 0 && performance.now() < patientUntilMs; attempt++) {
    await deadline.delay(nextDelayMs(retry, attempt))
    const again = await look(cluster, transactionalIds, topics, deadline)
    torn = torn.filter((one) => again.some((other) => isSame(one, other)))
  }
  return torn
}

const isSame = (one: TornTransaction, other: TornTransaction): boolean =>
  one.topic === other.topic &&
  one.partition === other.partition &&
  one.producerId === other.producerId &&
  one.startOffset === other.startOffset

async function look(
  cluster: Cluster,
  transactionalIds: readonly string[],
  topics: readonly string[],
  deadline: Deadline,
): Promise<readonly TornTransaction[]> {
  const idle = await idleProducers(cluster, transactionalIds, deadline)
  if (idle.size === 0) return []
  const torn: TornTransaction[] = []
  for (const topic of topics) torn.push(...(await tornOnTopic(cluster, idle, topic, deadline)))
  return torn
}

const over = new Set(['Empty', 'CompleteCommit', 'CompleteAbort'])

/** By producer id: the transactional ids that have no transaction in hand. */
async function idleProducers(
  cluster: Cluster,
  transactionalIds: readonly string[],
  deadline: Deadline,
): Promise<ReadonlyMap<bigint, string>> {
  const idle = new Map<bigint, string>()
  for (const transactionalId of transactionalIds) {
    const coordinator = await cluster.coordinator('transaction', transactionalId, deadline)
    const connection = await cluster.queries.to(coordinator, deadline)
    const found = await deadline.race(connection.call(describeTransactions, { transactionalId }))
    // An id that nobody has used is unknown.
    if (found.errorCode === errorCode.NONE && over.has(found.state))
      idle.set(found.producerId, transactionalId)
  }
  return idle
}

async function tornOnTopic(
  cluster: Cluster,
  idle: ReadonlyMap<bigint, string>,
  topic: string,
  deadline: Deadline,
): Promise<readonly TornTransaction[]> {
  const layout = await cluster
    .layout(topic, deadline, { refresh: true, patienceMs: 0 })
    .catch((error: unknown) => {
      if (OutboxError.is(error, 'KAFKA_TOPIC_UNAVAILABLE')) return undefined
      throw error
    })
  const torn: TornTransaction[] = []
  for (const partition of (layout?.leaders ?? []).keys()) {
    const at = { topic, partition }
    for (const { producerId, transactionStartOffset } of await openTransactions(cluster, at, deadline)) {
      const transactionalId = idle.get(producerId)
      if (transactionalId !== undefined)
        torn.push({ ...at, transactionalId, producerId, startOffset: transactionStartOffset })
    }
  }
  return torn
}

async function findTorn(
  cluster: Cluster,
  producers: readonly Producer[],
  at: PartitionAddress,
  patienceMs: number,
  signal: AbortSignal | undefined,
): Promise<readonly TornTransaction[]> {
  using deadline = new Deadline(stepDeadlineMs + patienceMs, `looking at ${at.topic}-${at.partition}`, signal)
  const patientUntilMs = performance.now() + patienceMs
  for (let attempt = 1; ; attempt++) {
    const open = await openTransactions(cluster, at, deadline, { patienceMs })
    const torn = open.flatMap(({ producerId, transactionStartOffset }) => {
      const producer = producers.find((held) => held.producerId === producerId)
      if (producer === undefined) return []
      const { transactionalId } = producer
      return { ...at, transactionalId, producerId, startOffset: transactionStartOffset }
    })
    if (torn.length === 0 || performance.now() >= patientUntilMs)
      return torn.sort((one, other) => (one.startOffset < other.startOffset ? -1 : 1))
    await deadline.delay(nextDelayMs(retry, attempt))
  }
}

/**
 * Names the partition to the coordinator as one of a transaction that has no records there, and ends that: its marker
 * ends what is open. Transactions of version 1 can do so, on every broker.
 */
async function endTorn(
  cluster: Cluster,
  producers: readonly Producer[],
  torn: TornTransaction,
  how: 'commit' | 'abort',
  signal: AbortSignal | undefined,
): Promise<void> {
  const { topic, partition, transactionalId } = torn
  const place = `${topic}-${partition}`
  const producer = producers.find((held) => held.transactionalId === transactionalId)
  if (producer === undefined)
    throw new OutboxError('KAFKA_OPTIONS_INVALID', `${transactionalId} is not among the ids that are held`)
  using deadline = new Deadline(stepDeadlineMs, `ending the torn transaction on ${place}`, signal)
  await producer.begin(1, deadline)
  const [result] = await producer.addPartitions([{ name: topic, partitions: [partition] }], deadline)
  const code = result?.errorCode ?? errorCode.UNKNOWN_SERVER_ERROR
  if (code !== errorCode.NONE)
    throw new OutboxError('KAFKA_TOPIC_UNAVAILABLE', `${place}: ${describeCode(code)}`, {
      details: { topic, partition, code },
    })
  await producer.endTransaction(how === 'commit', deadline)
  const { producerId } = torn
  for (let attempt = 1; ; attempt++) {
    const open = await openTransactions(cluster, { topic, partition }, deadline)
    if (!open.some((other) => other.producerId === producerId)) return
    await deadline.delay(nextDelayMs(retry, attempt))
  }
}
