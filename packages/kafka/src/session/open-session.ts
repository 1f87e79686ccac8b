import { faultPoint, OutboxError } from '@oncebox/core'
import { BrokerConnections } from '../broker-connections.js'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { KafkaFailure, toKafkaFailure } from '../kafka-failure.js'
import { within } from '../options.js'
import { lastStableOffset, openTransactions, type PartitionAddress } from '../partition-offsets.js'
import { PartitionRecords } from '../records/partition-records.js'
import { produceRecords } from './produce-records.js'
import { Producer } from './producer.js'
import { Session } from './session.js'
import type { TransactionSession } from './transaction-session.js'

export interface OpenSessionOptions {
  /** Stable across restarts, and nobody else's: opening a session fences every older one with the same ids. */
  readonly transactionalIds: readonly [a: string, b: string]
  /** After this the coordinator aborts an open transaction by itself. Default 30,000; 1,000 to 900,000. */
  readonly transactionTimeoutMs?: number
  /** Bounds the opening. Default 60,000; 100 to 900,000. */
  readonly deadlineMs?: number
  /** How long a topic may be unknown or leaderless before a publish is given up. Default 10,000; 0 to 300,000. */
  readonly topicPatienceMs?: number
  /** The record that marks the start of this session in the progress partition. */
  readonly claim: {
    readonly topic: string
    readonly partition: number
    readonly key: Uint8Array
    readonly value: Uint8Array
  }
  readonly signal?: AbortSignal
}

/**
 * Takes both transactional ids over and claims the progress partition. When it returns, every older session with these
 * ids is fenced, its transactions are decided, and every record they committed lies below the claim and is visible.
 *
 * Initialises a, then b, never in parallel, and commits the claim on a: that proves both were held together. With
 * crossed starts any other order lets two sessions publish the same batch (90 of 1,076 interleavings when b claims, see interleavings.test.ts).
 *
 * @throws KafkaFailure KAFKA_PROGRESS_BLOCKED when an open transaction hides the claim until the deadline, KAFKA_FENCED
 *   when another session with these ids was opened meanwhile, KAFKA_AUTHORIZATION_FAILED, KAFKA_TRANSACTION_NOT_COMMITTED
 */
export async function openSession(
  client: KafkaClient,
  options: OpenSessionOptions,
): Promise<TransactionSession> {
  const cluster = clusterOf(client)
  const transactionTimeoutMs = within(
    'transactionTimeoutMs',
    options.transactionTimeoutMs ?? 30_000,
    1_000,
    900_000,
  )
  const topicPatienceMs = within('topicPatienceMs', options.topicPatienceMs ?? 10_000, 0, 300_000)
  const deadlineMs = within('deadlineMs', options.deadlineMs ?? 60_000, 100, 900_000)
  const [a, b] = options.transactionalIds
  if (a === b) throw new OutboxError('KAFKA_OPTIONS_INVALID', `the two transactional ids are the same: ${a}`)

  using deadline = new Deadline(deadlineMs, `opening the session of ${a}`, options.signal)
  const produceConnections = new BrokerConnections(cluster.options)
  const coordinatorConnections = new BrokerConnections(cluster.options)
  const producers = [
    new Producer(a, cluster, coordinatorConnections),
    new Producer(b, cluster, coordinatorConnections),
  ] as const
  const opening: Opening = {
    cluster,
    produceConnections,
    producers,
    deadline,
    topicPatienceMs,
    transactionTimeoutMs,
    signal: options.signal,
  }
  try {
    for (const producer of producers) await producer.initialise(transactionTimeoutMs, deadline)
    await faultPoint('relay.ids.initialised')
    const claimOffset = await commitClaim(options.claim, opening)
    await faultPoint('relay.claim.committed')
    await untilVisible(options.claim, claimOffset, opening)
    return new Session({
      cluster,
      producers,
      produceConnections,
      coordinatorConnections,
      claimOffset,
      transactionTimeoutMs,
      topicPatienceMs,
    })
  } catch (error) {
    await Promise.all([produceConnections.close(), coordinatorConnections.close()])
    throw toKafkaFailure(
      error,
      OutboxError.is(error) ? error.code : 'KAFKA_TRANSACTION_NOT_COMMITTED',
      'not-committed',
      `opening the session of ${a}`,
    )
  }
}

interface Opening {
  readonly cluster: Cluster
  readonly produceConnections: BrokerConnections
  readonly producers: readonly [a: Producer, b: Producer]
  readonly deadline: Deadline
  readonly topicPatienceMs: number
  readonly transactionTimeoutMs: number
  readonly signal: AbortSignal | undefined
}

async function commitClaim(claim: OpenSessionOptions['claim'], opening: Opening): Promise<bigint> {
  const { cluster, deadline } = opening
  const { maxMessageBytes } = await cluster.describeTopic(claim.topic, { signal: deadline.signal })
  await refuseTornTransaction(claim, opening)
  const [producer] = opening.producers
  const records = new PartitionRecords(claim.topic, claim.partition, { maxMessageBytes })
  const source = Buffer.concat([claim.key, claim.value])
  records.append(Date.now(), source, 0, claim.key.length, claim.key.length, source.length, 0, [])
  const [placed] = await produceRecords([records], {
    cluster,
    connections: opening.produceConnections,
    producer,
    deadline,
    topicPatienceMs: opening.topicPatienceMs,
  })
  await producer.endTransaction(true, deadline)
  if (placed === undefined)
    throw new OutboxError('KAFKA_PROTOCOL', `the claim on ${claim.topic}-${claim.partition} has no offset`)
  return placed.baseOffset
}

/**
 * Kafka 4.3.1 skips the marker of a partition that has no leader at that moment (KAFKA-20734). If that was an abort on
 * the progress partition, an aborted position would be committed together with the claim, and its events would be lost.
 */
async function refuseTornTransaction(
  { topic, partition }: PartitionAddress,
  { cluster, producers, deadline }: Opening,
): Promise<void> {
  const ours = new Set(producers.map(({ producerId }) => producerId))
  const torn = (await openTransactions(cluster, { topic, partition }, deadline)).find(({ producerId }) =>
    ours.has(producerId),
  )
  if (torn === undefined) return
  throw new KafkaFailure(
    'KAFKA_PROGRESS_BLOCKED',
    'not-committed',
    `${topic}-${partition}: producer ${torn.producerId} is ours and still has a transaction open from offset ${torn.transactionStartOffset}: its marker was skipped (KAFKA-20734)`,
    {
      details: {
        topic,
        partition,
        producerId: String(torn.producerId),
        offset: String(torn.transactionStartOffset),
      },
    },
  )
}

const pollMsMin = 1
const pollMsMax = 50

/** Waits until read_committed readers see the claim; at the deadline, says whose open transaction hides it. */
async function untilVisible(
  { topic, partition }: PartitionAddress,
  claimOffset: bigint,
  { cluster, deadline, signal }: Opening,
): Promise<void> {
  const at = { topic, partition }
  try {
    for (
      let waitMs = pollMsMin;
      (await lastStableOffset(cluster, at, deadline)) <= claimOffset;
      waitMs = Math.min(pollMsMax, 2 * waitMs)
    ) {
      await deadline.delay(waitMs)
    }
  } catch (error) {
    if (!deadline.expired || signal?.aborted === true) throw error
    throw await progressBlocked(cluster, at, claimOffset, error)
  }
}

const namingDeadlineMs = 5_000

async function progressBlocked(
  cluster: Cluster,
  at: PartitionAddress,
  claimOffset: bigint,
  cause: unknown,
): Promise<KafkaFailure> {
  using deadline = new Deadline(
    namingDeadlineMs,
    `naming the open transaction on ${at.topic}-${at.partition}`,
  )
  const hiding = (await openTransactions(cluster, at, deadline).catch(() => [])).filter(
    ({ transactionStartOffset }) => transactionStartOffset <= claimOffset,
  )
  const names = hiding.map(
    ({ producerId, transactionStartOffset }) =>
      `producer ${producerId} (open from offset ${transactionStartOffset})`,
  )
  return new KafkaFailure(
    'KAFKA_PROGRESS_BLOCKED',
    'not-committed',
    `${at.topic}-${at.partition}: the claim at offset ${claimOffset} stays hidden behind ${names.join(', ') || 'an open transaction'}`,
    {
      cause,
      details: {
        ...at,
        offset: String(claimOffset),
        producerIds: hiding.map(({ producerId }) => String(producerId)),
      },
    },
  )
}
