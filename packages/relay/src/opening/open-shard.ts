import { randomUUID } from 'node:crypto'
import { faultPoint, OutboxError } from '@oncebox/core'
import {
  ensureProgressTopic,
  openSession,
  PartitionRecords,
  readLastValue,
  type KafkaClient,
  type TopicDescription,
  type TransactionSession,
} from '@oncebox/kafka'
import type { DatabaseConnections } from '../database-connections.js'
import type { ResolvedRelayOptions } from '../options.js'
import { decodePosition, encodePosition, type Position } from '../position.js'
import type { WindowKey } from '../publishing/confirmation.js'
import { beginning } from '../reading/snapshot.js'
import { claimShard } from '../sharing/claim-shard.js'
import { shardCondition, shardSelection, type ShardDefinition } from '../sharing/shard-map.js'
import { readDatabaseState, type DatabaseState } from './database-state.js'
import { ensureGenesis, recordInitialised } from './genesis.js'
import { diverged, provePosition } from './prove-position.js'
import { readConfirmed } from './read-confirmed.js'

/** A shard that this process owns: fenced everywhere else, its position known and proven. */
export interface OpenShard {
  readonly shard: number
  readonly epoch: number
  readonly incarnation: string
  readonly lifeToken: string
  /** Which rows of outbox.events are its own, as SQL; empty for all. */
  readonly condition: string
  /** The same as arguments of outbox.read_live. */
  readonly selection: string
  readonly progress: TopicDescription
  readonly session: TransactionSession
  readonly position: Position
  /** What the database knows to be confirmed of this shard and generation. */
  readonly confirmed: WindowKey | undefined
}

export interface OpenShardRequest {
  readonly options: ResolvedRelayOptions
  readonly shard: number
  /** Of the shard map by which this process was given the shard. */
  readonly generation: number
  /** Opened to be closed: for the process that ends the shards of a generation when there is a newer one. */
  readonly toClose?: boolean
  readonly kafka: KafkaClient
  readonly database: DatabaseConnections
  /** Names this run of the relay in its claims; unique, so that it knows its own. */
  readonly holder: string
  /** The epoch this process held before, when it re-opens after a doubt, or the one at which it saw the shard free. */
  readonly expectedEpoch: number
  /** Told as soon as the epoch is raised, so that a failed start is still the holder of it. */
  readonly onEpoch: (epoch: number) => void
  readonly signal: AbortSignal
}

// Two constant keys, so that compaction keeps the newest of each: under one, the claim would remove the position.
/** Of the records that say how far a shard is. */
export const positionKey = Buffer.from('position')
export const claimKey = Buffer.from('claim')
/** Claims and aborted positions behind the last position, with their markers, that make it worth being committed again. */
const renewedBehind = 10_000n

/**
 * The start sequence, also after any doubt: raise the epoch in the database; initialise both transactional ids, which
 * fences every older incarnation and ends its transaction; commit a claim; read back from there to the last position;
 * prove it against the database.
 * @throws OutboxError RELAY_FENCED, RELAY_HISTORY_DIVERGED, and what the database and Kafka throw.
 */
export async function openShard(request: OpenShardRequest): Promise<OpenShard> {
  const { options, shard, generation, kafka, database, signal } = request
  const before = await readDatabaseState(database.reader, { relay: options.name, shard, generation })
  const definition = definitionOf(before, request)
  if (!before.begun) {
    if (before.map.isAdoption) throw adopting(generation)
    throw new OutboxError(
      'RELAY_RESHARDING',
      `the shards of generation ${generation} have no beginning yet: those of the one before are not closed`,
      { details: { shard, generation } },
    )
  }
  const progress = await ensureProgressTopic(kafka, {
    topic: options.progressTopic,
    partitions: partitionsFor(before.map),
    signal,
    ...(options.replicationFactor === undefined ? {} : { replicationFactor: options.replicationFactor }),
  })
  assertSameKafka(before, kafka.clusterId, progress)

  const incarnation = randomUUID()
  const identity = { shard, generation, incarnation }
  const epoch = await claimShard(
    database.reader,
    {
      ...identity,
      relay: options.name,
      holder: request.holder,
      clusterId: kafka.clusterId,
      progressTopic: progress.name,
      progressTopicId: progress.topicId,
    },
    request.expectedEpoch,
  )
  request.onEpoch(epoch)
  await faultPoint('relay.epoch.raised')
  // Read again under the epoch: what stood there before may be of an older holder, which could still have published its
  // first batch or seen another shard map. From here on it cannot.
  const state = await readDatabaseState(database.reader, { relay: options.name, shard, generation })
  definitionOf(state, request)
  assertSameKafka(state, kafka.clusterId, progress)

  const session = await openSession(kafka, {
    transactionalIds: [`oncebox:${options.name}:${shard}:a`, `oncebox:${options.name}:${shard}:b`],
    transactionTimeoutMs: options.transactionTimeoutMs,
    claim: {
      topic: progress.name,
      partition: shard,
      key: claimKey,
      value: Buffer.from(JSON.stringify({ v: 1, ...identity, epoch })),
    },
    signal,
  })
  try {
    const found = await readLastValue(kafka, {
      topic: progress.name,
      partition: shard,
      key: positionKey,
      beforeOffset: session.claimOffset,
      signal,
    })
    await faultPoint('relay.position.read')
    const last = found === null ? undefined : decodePosition(found.value)
    const position =
      last === undefined || isClosedFor(last, generation)
        ? await begin({ request, state, session, progress, incarnation, epoch })
        : await resume({ request, state, progress, position: last })
    // Left by runs that never got as far as a batch: read past once, and not again at each start.
    if (found !== null && position === last && session.claimOffset - found.offset > renewedBehind)
      await session.publish({ partitions: [progressRecord(progress, shard, found.value)] })
    const condition = shardCondition(definition, state.map)
    const selection = shardSelection(definition, state.map)
    const confirmed = await readConfirmed(database.reader, shard, generation)
    refuseLostPosition(shard, position, confirmed)
    const { lifeToken } = state
    return {
      shard,
      epoch,
      incarnation,
      lifeToken,
      condition,
      selection,
      progress,
      session,
      position,
      confirmed,
    }
  } catch (error) {
    await session.close()
    throw error
  }
}

/** Nothing is published before `oncebox adopt` has decided about everything that is there. */
export const adopting = (generation: number): OutboxError =>
  new OutboxError('RELAY_ADOPTING', `oncebox adopt has begun shard map ${generation} and has not finished`, {
    details: { generation },
  })

/** The shard's part of the outbox, by the map that is in force, or that ends. */
function definitionOf(
  { map, newestGeneration }: DatabaseState,
  { shard, generation, toClose = false }: OpenShardRequest,
): ShardDefinition {
  const found = map.shards.find((definition) => definition.shard === shard)
  if ((toClose || newestGeneration === generation) && found !== undefined) return found
  throw new OutboxError(
    'RELAY_SHARD_MAP_CHANGED',
    `the shard map is of generation ${newestGeneration}, and of ${generation} before`,
    { details: { shard, generation, newGeneration: newestGeneration } },
  )
}

/** The shard map before ended with this position, so that a shard of this generation can begin. */
const isClosedFor = ({ window, closedFor }: Position, generation: number): boolean =>
  window.generation < generation && closedFor === generation

/** A shard has the partition of its number. */
const partitionsFor = ({ shards }: DatabaseState['map']): number =>
  Math.max(...shards.map(({ shard }) => shard)) + 1

// A mirrored cluster is another cluster, and a re-created progress topic has forgotten what was published.
function assertSameKafka(state: DatabaseState, clusterId: string, progress: TopicDescription): void {
  if (state.bound === undefined) return
  const { bound } = state
  if (bound.clusterId !== clusterId) {
    throw diverged(`the outbox was published to Kafka cluster ${bound.clusterId}, this is ${clusterId}`, {
      bound: bound.clusterId,
      found: clusterId,
    })
  }
  if (bound.progressTopicId !== progress.topicId) {
    throw diverged(`the progress topic ${progress.name} was re-created: its positions are gone`, {
      bound: bound.progressTopicId,
      found: progress.topicId,
    })
  }
}

interface Beginning {
  readonly request: OpenShardRequest
  readonly state: DatabaseState
  readonly session: TransactionSession
  readonly progress: TopicDescription
  readonly incarnation: string
  readonly epoch: number
}

/** The first start: position 0 goes into Kafka, then the database records that it is there. No batch before that. */
async function begin({
  request,
  state,
  session,
  progress,
  incarnation,
  epoch,
}: Beginning): Promise<Position> {
  const { shard, generation, kafka, options, database } = request
  if (state.initialised) {
    throw diverged(
      `Kafka has no position of relay ${options.name}, and the database says that it once had one`,
      { shard, topic: progress.name },
    )
  }
  const { startAt } = options
  const genesis = await ensureGenesis(database.reader, { shard, generation, epoch, incarnation, startAt })
  const position: Position = {
    batch: 0,
    incarnation,
    window: genesis.window,
    from: beginning,
    to: genesis.to,
    lastSeq: 0n,
    complete: true,
    clusterId: kafka.clusterId,
    progressTopicId: progress.topicId,
    shards: state.map.shards.length,
    events: 0,
    eventsTotal: 0,
    // What the shards of the map before wrote to, and did not look at again, nobody has told this one.
    ...(generation === 1 ? { unproven: [] } : {}),
  }
  await session.publish({ partitions: [positionRecord(progress, shard, position)] })
  await initialise(request, state, progress)
  return position
}

async function resume({
  request,
  state,
  progress,
  position,
}: {
  request: OpenShardRequest
  state: DatabaseState
  progress: TopicDescription
  position: Position
}): Promise<Position> {
  const { shard, kafka, database } = request
  if (position.clusterId !== kafka.clusterId || position.progressTopicId !== progress.topicId) {
    throw diverged(
      'the position was written in another Kafka cluster or topic: a mirror is another cluster',
      { shard, clusterId: position.clusterId, progressTopicId: position.progressTopicId },
    )
  }
  const { generation } = state.map
  if (position.window.generation !== generation) {
    throw diverged(
      `the last position in Kafka is of shard map generation ${position.window.generation} and was not closed for generation ${generation}`,
      { shard, generation, found: position.window.generation },
    )
  }
  if (position.closedFor !== undefined && request.toClose !== true) {
    throw new OutboxError(
      'RELAY_SHARD_MAP_CHANGED',
      `the shards of generation ${generation} are closed for generation ${position.closedFor}`,
      { details: { shard, generation, newGeneration: position.closedFor } },
    )
  }
  // Not initialised is only possible in the first start, between its position 0 and the record of it.
  if (!state.initialised && position.batch > 0) {
    throw diverged(
      'Kafka has a position of this relay, and the database has never published: another database, or a restored one',
      { shard, batch: position.batch },
    )
  }
  await provePosition(database.reader, shard, position)
  if (!state.initialised) await initialise(request, state, progress)
  return position
}

/**
 * Rows are emptied by what the database knows to be confirmed, and that was committed in Kafka before. A position from
 * before that would publish again what Kafka still has, and could not publish what it has lost.
 */
function refuseLostPosition(shard: number, { window }: Position, confirmed: WindowKey | undefined): void {
  if (confirmed === undefined) return
  const isAhead =
    confirmed.epoch > window.epoch || (confirmed.epoch === window.epoch && confirmed.number > window.number)
  if (!isAhead) return
  throw diverged(
    `Kafka has lost positions: it stands on window ${window.epoch}/${window.number}, and ${confirmed.epoch}/${confirmed.number} was committed there`,
    { shard, found: window, confirmed },
  )
}

async function initialise(
  { shard, options, kafka, database }: OpenShardRequest,
  state: DatabaseState,
  progress: TopicDescription,
): Promise<void> {
  await recordInitialised(database.reader, {
    shards: [shard],
    generation: state.map.generation,
    relay: options.name,
    clusterId: kafka.clusterId,
    progressTopicId: progress.topicId,
  })
}

/** The record that carries a position, for the transaction that publishes what it counts. */
export function positionRecord(
  progress: TopicDescription,
  shard: number,
  position: Position,
): PartitionRecords {
  return progressRecord(progress, shard, encodePosition(position))
}

/** The record that says that a shard has no position, for one that is in no map any more. */
export const noPositionRecord = (progress: TopicDescription, shard: number): PartitionRecords =>
  progressRecord(progress, shard, null)

function progressRecord(progress: TopicDescription, shard: number, value: Buffer | null): PartitionRecords {
  const records = new PartitionRecords(progress.name, shard, { maxMessageBytes: progress.maxMessageBytes })
  const source = value === null ? positionKey : Buffer.concat([positionKey, value])
  const valueStart = value === null ? -1 : positionKey.length
  records.append(Date.now(), source, 0, positionKey.length, valueStart, source.length, 0, [])
  return records
}
