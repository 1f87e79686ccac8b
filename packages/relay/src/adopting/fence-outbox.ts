import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { faultPoint, OutboxError } from '@oncebox/core'
import {
  ensureProgressTopic,
  openSession,
  readLastValue,
  type ClaimedSession,
  type KafkaClient,
  type TopicDescription,
} from '@oncebox/kafka'
import { claimKey, positionKey } from '../opening/open-shard.js'
import type { ResolvedRelayOptions } from '../options.js'
import { decodePosition, type Position } from '../position.js'
import { claimShard, lockClass, type Claim } from '../sharing/claim-shard.js'
import { parseShardMap, type ShardMap } from '../sharing/shard-map.js'
import { findProgressTopic, type OutboxState } from './outbox-state.js'
import { endTornTransactions, type EndedTransaction, type TornDecision } from './torn.js'

/** An outbox that nobody publishes: every relay is fenced, in Kafka and in the database. */
export interface FencedOutbox extends AsyncDisposable {
  readonly map: ShardMap
  readonly progress: TopicDescription
  /** Every shard that was ever mapped, or has a partition of the progress topic. */
  readonly shards: readonly FencedShard[]
  readonly ended: readonly EndedTransaction[]
}

interface FencedShard {
  readonly shard: number
  readonly epoch: number
  readonly incarnation: string
  readonly session: ClaimedSession
  /** What Kafka has of it, whatever it is worth. */
  readonly position: Position | undefined
}

export interface FenceRequest {
  readonly options: ResolvedRelayOptions
  readonly client: Client
  readonly kafka: KafkaClient
  readonly state: OutboxState
  readonly holder: string
  readonly torn: TornDecision | undefined
  readonly onProgress: (sentence: string) => void
  readonly signal: AbortSignal
}

/**
 * Begins a shard map of its own generation, whose shards relays do not touch before they are begun; raises the epoch of
 * every shard, takes its transactional ids over, and ends what a skipped marker has left open on any topic.
 */
export async function fenceOutbox(request: FenceRequest): Promise<FencedOutbox> {
  const { options, client, kafka, signal, onProgress, holder } = request
  const map = await beginGeneration(client, request.state)
  onProgress(`shard map ${map.generation} is recorded: relays wait until adopt has finished`)
  const progress = await prepareProgress(request)
  const numbers = shardNumbers(request.state, progress)
  const claims: { shard: number; epoch: number; incarnation: string }[] = []
  for (const shard of numbers) {
    const incarnation = randomUUID()
    const claim = {
      shard,
      generation: map.generation,
      relay: options.name,
      incarnation,
      holder,
      clusterId: kafka.clusterId,
      progressTopic: progress.name,
      progressTopicId: progress.topicId,
    }
    claims.push({ shard, epoch: await claimPatiently(client, claim), incarnation })
  }
  const ended = await endTornTransactions({ ...request, progress, shards: numbers })
  const shards: FencedShard[] = []
  const close = async (): Promise<void> => {
    await Promise.all(shards.map(({ session }) => session.close()))
  }
  try {
    for (const claim of claims) shards.push(await openFenced(request, progress, map, claim))
    onProgress(`${shards.length} shards are fenced`)
    await faultPoint('relay.adopt.fenced')
  } catch (error) {
    await close()
    throw error
  }
  signal.throwIfAborted()
  return { map, progress, shards, ended, [Symbol.asyncDispose]: close }
}

/** As the one before, marked: a run that was interrupted is followed by one that goes on with the same. */
async function beginGeneration(client: Client, { map, isBegun }: OutboxState): Promise<ShardMap> {
  if (map.isAdoption && !isBegun) return map
  await client.query('begin isolation level read committed; set local synchronous_commit = on')
  try {
    await client.query('select pg_advisory_xact_lock($1, $2)', [lockClass, -1])
    const { rows } = await client.query<{ generation: number; map: unknown }>(
      `insert into outbox.shard_map (generation, map)
       select generation + 1, map || '{"adoption": true}' from outbox.shard_map order by generation desc limit 1
       returning generation, map`,
    )
    await client.query('commit')
    const [row] = rows
    return parseShardMap(row?.generation ?? 0, row?.map)
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

async function prepareProgress({ options, kafka, state, signal }: FenceRequest): Promise<TopicDescription> {
  const found = await findProgressTopic(kafka, options.progressTopic, signal)
  return await ensureProgressTopic(kafka, {
    topic: options.progressTopic,
    partitions: Math.max(found?.partitions ?? 0, Math.max(...state.shardsEverMapped) + 1),
    signal,
    ...(options.replicationFactor === undefined ? {} : { replicationFactor: options.replicationFactor }),
  })
}

/** A history that this database does not know may have had more shards: the progress topic has their partitions. */
function shardNumbers(
  { shardsEverMapped }: OutboxState,
  { partitions }: TopicDescription,
): readonly number[] {
  const numbers = new Set([...shardsEverMapped, ...Array.from({ length: partitions }, (_, shard) => shard)])
  return [...numbers].sort((one, other) => one - other)
}

const claimTriesMax = 5

/** A relay that had looked before the new map was there may claim the shard once more, and gets no further than that. */
async function claimPatiently(client: Client, claim: Claim): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await claimShard(client, claim, await epochOf(client, claim.shard))
    } catch (error) {
      if (attempt === claimTriesMax || !OutboxError.is(error, 'RELAY_FENCED')) throw error
    }
  }
}

async function epochOf(client: Client, shard: number): Promise<number> {
  const { rows } = await client.query<{ epoch: string | null }>(
    'select max(epoch) as epoch from outbox.claims where shard = $1',
    [shard],
  )
  return Number(rows[0]?.epoch ?? 0)
}

async function openFenced(
  { options, kafka, signal }: FenceRequest,
  progress: TopicDescription,
  { generation }: ShardMap,
  claim: { readonly shard: number; readonly epoch: number; readonly incarnation: string },
): Promise<FencedShard> {
  const { shard, epoch, incarnation } = claim
  const session = await openSession(kafka, {
    transactionalIds: transactionalIdsOf(options.name, shard),
    transactionTimeoutMs: options.transactionTimeoutMs,
    claim: {
      topic: progress.name,
      partition: shard,
      key: claimKey,
      value: Buffer.from(JSON.stringify({ v: 1, shard, generation, incarnation, epoch })),
    },
    signal,
  })
  try {
    const at = {
      topic: progress.name,
      partition: shard,
      key: positionKey,
      beforeOffset: session.claimOffset,
      signal,
    }
    const found = await readLastValue(kafka, at)
    return { ...claim, session, position: found === null ? undefined : decodePosition(found.value) }
  } catch (error) {
    await session.close()
    throw error
  }
}

export const transactionalIdsOf = (relay: string, shard: number): [string, string] => [
  `oncebox:${relay}:${shard}:a`,
  `oncebox:${relay}:${shard}:b`,
]
