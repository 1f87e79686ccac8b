import { faultPoint, invariant, OutboxError } from '@oncebox/core'
import type { KafkaClient } from '../client.js'
import { clusterOf, type Cluster } from '../cluster.js'
import { Deadline } from '../deadline.js'
import { KafkaFailure, toKafkaFailure } from '../kafka-failure.js'
import { within } from '../options.js'
import { lastStableOffset, openTransactions, type PartitionAddress } from '../partition-offsets.js'
import { PartitionRecords } from '../records/partition-records.js'
import { fillTransaction } from './fill-transaction.js'
import { MarkerCheck } from './marker-check.js'
import { Producer } from './producer.js'
import { Session, type SessionParts } from './session.js'
import type { ClaimedSession, TransactionSession } from './transaction-session.js'

export interface OpenSessionOptions {
  /**
   * Stable across restarts, and nobody else's: opening a session fences every older one with the same ids. Two are
   * used in turn, so that a transaction need not wait for the markers of the last.
   */
  readonly transactionalIds: readonly [a: string, b?: string]
  /** After this the coordinator aborts an open transaction by itself. Default 30,000; 1,000 to 900,000. */
  readonly transactionTimeoutMs?: number
  /** Bounds the opening. Default 60,000; 100 to 900,000. */
  readonly deadlineMs?: number
  /** How long a topic may be unknown or leaderless before a publish is given up. Default 10,000; 0 to 300,000. */
  readonly topicPatienceMs?: number
  readonly signal?: AbortSignal
}

/** The record that marks the start of a session in the partition of its progress. */
export interface Claim {
  readonly topic: string
  readonly partition: number
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/**
 * Takes the transactional ids over and claims the progress partition. When it returns, every older session with these
 * ids is fenced, its transactions are decided, and every record they committed lies below the claim and is visible.
 *
 * Initialises a, then b, never in parallel, and commits the claim on a: that proves both were held together. With
 * crossed starts any other order lets two sessions publish the same batch (90 of 1,076 interleavings when b claims, see
 * interleavings.test.ts). Without a claim two crossed starts may each keep one id: then something else has to fence
 * them, as the generation of a consumer group does for {@link ConsumedOffsets}.
 *
 * @throws KafkaFailure KAFKA_PROGRESS_BLOCKED when an open transaction hides the claim until the deadline, KAFKA_FENCED
 *   when another session with these ids was opened meanwhile, KAFKA_AUTHORIZATION_FAILED, KAFKA_TRANSACTION_NOT_COMMITTED
 */
export async function openSession(
  client: KafkaClient,
  options: OpenSessionOptions & { readonly claim: Claim },
): Promise<ClaimedSession>
export async function openSession(
  client: KafkaClient,
  options: OpenSessionOptions,
): Promise<TransactionSession>
export async function openSession(
  client: KafkaClient,
  options: OpenSessionOptions & { readonly claim?: Claim },
): Promise<TransactionSession> {
  const cluster = clusterOf(client)
  const resolved = resolve(options)
  const [first] = resolved.transactionalIds
  const produceConnections = cluster.newConnections()
  const coordinatorConnections = cluster.newConnections()
  using deadline = new Deadline(resolved.deadlineMs, `opening the session of ${first}`, options.signal)
  const { transactionTimeoutMs, topicPatienceMs } = resolved
  const producers = resolved.transactionalIds.map(
    (id) => new Producer(id, { cluster, connections: coordinatorConnections, transactionTimeoutMs }),
  )
  const markers = new MarkerCheck(cluster, produceConnections)
  const parts = { cluster, producers, produceConnections, coordinatorConnections, markers, topicPatienceMs }
  const opening: Opening = { ...parts, deadline, signal: options.signal }
  try {
    for (const producer of producers) {
      await producer.initialise(deadline)
      markers.own(producer.producerId)
    }
    await faultPoint('relay.ids.initialised')
    if (options.claim === undefined) return new Session({ ...parts, transactionTimeoutMs, next: 0 })
    const claimOffset = await commitClaim(options.claim, opening)
    await faultPoint('relay.claim.committed')
    await untilVisible(options.claim, claimOffset, opening)
    // The claim was a's.
    return new Session({ ...parts, transactionTimeoutMs, claimOffset, next: 1 % producers.length })
  } catch (error) {
    await Promise.all([produceConnections.close(), coordinatorConnections.close()])
    throw toKafkaFailure(
      error,
      OutboxError.is(error) ? error.code : 'KAFKA_TRANSACTION_NOT_COMMITTED',
      'not-committed',
      `opening the session of ${first}`,
    )
  }
}

function resolve(options: OpenSessionOptions) {
  const [a, b] = options.transactionalIds
  if (a === b) throw new OutboxError('KAFKA_OPTIONS_INVALID', `the two transactional ids are the same: ${a}`)
  return {
    transactionalIds: b === undefined ? ([a] as const) : ([a, b] as const),
    transactionTimeoutMs: within(
      'transactionTimeoutMs',
      options.transactionTimeoutMs ?? 30_000,
      1_000,
      900_000,
    ),
    topicPatienceMs: within('topicPatienceMs', options.topicPatienceMs ?? 10_000, 0, 300_000),
    deadlineMs: within('deadlineMs', options.deadlineMs ?? 60_000, 100, 900_000),
  }
}

interface Opening extends Pick<
  SessionParts,
  'cluster' | 'producers' | 'produceConnections' | 'coordinatorConnections' | 'markers' | 'topicPatienceMs'
> {
  readonly deadline: Deadline
  readonly signal: AbortSignal | undefined
}

async function commitClaim(claim: Claim, opening: Opening): Promise<bigint> {
  const { cluster, deadline, topicPatienceMs } = opening
  const { maxMessageBytes } = await cluster.describeTopic(claim.topic, { signal: deadline.signal })
  await refuseTornProgress(claim, opening)
  const [producer] = opening.producers
  invariant(producer !== undefined, 'a session has a transactional id')
  const records = new PartitionRecords(claim.topic, claim.partition, { maxMessageBytes })
  const source = Buffer.concat([claim.key, claim.value])
  records.append(Date.now(), source, 0, claim.key.length, claim.key.length, source.length, 0, [])
  await producer.begin(cluster.transactionVersion, deadline)
  const [placed] = await fillTransaction(
    { partitions: [records], offsets: undefined },
    {
      cluster,
      connections: opening.produceConnections,
      offsetConnections: opening.coordinatorConnections,
      producer,
      deadline,
      patientUntilMs: performance.now() + Math.min(topicPatienceMs, deadline.remainingMs / 2),
    },
  )
  await producer.endTransaction(true, deadline)
  if (placed === undefined)
    throw new OutboxError('KAFKA_PROTOCOL', `the claim on ${claim.topic}-${claim.partition} has no offset`)
  return placed.baseOffset
}

/** If a skipped marker was an abort on the progress partition, an aborted position would be committed with the claim, and its events would be lost. */
async function refuseTornProgress(
  { topic, partition }: PartitionAddress,
  { markers, deadline, topicPatienceMs }: Opening,
): Promise<void> {
  try {
    await markers.prove([{ topic, partition }], deadline, Math.min(topicPatienceMs, deadline.remainingMs / 2))
  } catch (error) {
    if (!OutboxError.is(error, 'KAFKA_TRANSACTION_TORN')) throw error
    throw new KafkaFailure('KAFKA_PROGRESS_BLOCKED', 'not-committed', error.message, {
      cause: error,
      details: error.details,
    })
  }
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
