import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { delay, OutboxError } from '@oncebox/core'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { adopting } from '../opening/open-shard.js'
import { resolveOptions, type RelayOptions, type ResolvedRelayOptions } from '../options.js'
import { nobody, openWindowReader } from '../publishing/publish-shard.js'
import { Membership, type Sharing } from '../sharing/membership.js'
import { defaultLane, evenShards, parseShardMap, type ShardMap } from '../sharing/shard-map.js'
import { closeGeneration } from './close-generation.js'

export interface ReshardTarget {
  /** Shards of the default lane, 1 to 256 with those of the other lanes. */
  readonly shards: number
  /** Topics that get shards of their own, which no other topic can hold up. */
  readonly lanes?: readonly { readonly topics: readonly string[]; readonly shards?: number }[]
}

export interface ReshardOptions {
  readonly signal?: AbortSignal
  /** Told what is going on, a sentence each. */
  readonly onProgress?: (sentence: string) => void
}

export interface ReshardReport {
  readonly generation: number
  readonly shards: number
  /** False when the shards were like this already. */
  readonly changed: boolean
}

const pollMs = 250

/**
 * Cuts the shards of a live outbox anew, the order of each key kept. The running relay processes close the old shards
 * and take their share of the new ones; where none runs, this process closes the old ones. Interrupted, it can be run
 * again, and relays go on by themselves.
 *
 * @throws OutboxError RELAY_OPTIONS_INVALID, RELAY_RESHARDING when another reshard is not finished, RELAY_ADOPTING
 */
export async function reshard(
  relayOptions: RelayOptions,
  target: ReshardTarget,
  { signal = new AbortController().signal, onProgress = () => undefined }: ReshardOptions = {},
): Promise<ReshardReport> {
  const options = resolveOptions(relayOptions)
  const client = await connectClient(options.db, `oncebox-relay ${options.name} reshard`)
  try {
    await checkServer(client)
    const membership = new Membership(client, { relay: options.name, holder: '', leaseMs: options.leaseMs })
    const found = await membership.look()
    const wanted = mapOf(target)
    const changed = !isSame(found.map, wanted)
    if (!found.begun && found.map.isAdoption) throw adopting(found.map.generation)
    if (!found.begun && changed) {
      throw new OutboxError(
        'RELAY_RESHARDING',
        `the reshard to generation ${found.map.generation} is not finished`,
        { details: { generation: found.map.generation } },
      )
    }
    const generation = changed
      ? await insertMap(client, found.map.generation + 1, wanted)
      : found.map.generation
    if (changed) onProgress(`shard map ${generation} is recorded: ${wanted.shards.length} shards`)
    await untilBegun({ options, membership, generation, signal, onProgress })
    return { generation, shards: wanted.shards.length, changed }
  } finally {
    await client.end().catch(() => undefined)
  }
}

type NewMap = Omit<ShardMap, 'generation' | 'isAdoption'>

/** @throws OutboxError RELAY_OPTIONS_INVALID */
function mapOf({ shards, lanes = [] }: ReshardTarget): NewMap {
  const counts = new Map([[defaultLane, shards]])
  const laneOf = new Map<string, string>()
  for (const { topics, shards: count = 1 } of lanes) {
    const [lane] = topics
    if (lane === undefined) throw invalid('a lane without topics')
    counts.set(`lane of ${lane}`, count)
    for (const topic of topics) {
      if (laneOf.has(topic)) throw invalid(`topic ${topic} is in two lanes`)
      laneOf.set(topic, `lane of ${lane}`)
    }
  }
  for (const count of counts.values())
    if (!Number.isInteger(count) || count < 1) throw invalid(`${count} shards: at least 1 in each lane`)
  const map = { shards: evenShards(counts), lanes: laneOf }
  try {
    return parseShardMap(0, toJson(map))
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause))
  }
}

const invalid = (why: string): OutboxError => new OutboxError('RELAY_OPTIONS_INVALID', why)

const toJson = ({ shards, lanes }: NewMap): object => ({ shards, lanes: Object.fromEntries(lanes) })

const isSame = (one: NewMap, other: NewMap): boolean => describe(one) === describe(other)

const describe = ({ shards, lanes }: NewMap): string =>
  JSON.stringify([
    shards.map(({ shard, lane, bucketFrom, bucketTo }) => [shard, lane, bucketFrom, bucketTo]),
    [...lanes].sort(([a], [b]) => (a < b ? -1 : 1)),
  ])

async function insertMap(client: Client, generation: number, map: NewMap): Promise<number> {
  // Two at once meet in the primary key.
  await client.query('insert into outbox.shard_map (generation, map) values ($1, $2)', [
    generation,
    JSON.stringify(toJson(map)),
  ])
  return generation
}

interface Waiting {
  readonly options: ResolvedRelayOptions
  readonly membership: Membership
  readonly generation: number
  readonly signal: AbortSignal
  readonly onProgress: (sentence: string) => void
}

async function untilBegun(waiting: Waiting): Promise<void> {
  const { options, membership, generation, signal, onProgress } = waiting
  let said = ''
  const say = (sentence: string): void => {
    if (sentence !== said) onProgress(sentence)
    said = sentence
  }
  for (;;) {
    const sharing: Sharing = await membership.look()
    if (sharing.begun) return say(`the shards of map ${generation} have begun`)
    if (sharing.members.length === 0) {
      say('no relay is running: closing the old shards here')
      await closeGeneration({
        options,
        holder: `reshard:${randomUUID()}`,
        generation: generation - 1,
        openReader: openWindowReader,
        observer: { ...nobody, halted: (error) => say(`an old shard waits: ${String(error)}`) },
        signal,
      })
    } else {
      say(`${sharing.members.length} relay processes are running: waiting for them to close the old shards`)
      await delay(pollMs, signal)
    }
  }
}
