import { invariant, OutboxError } from '@oncebox/core'

/** A part of the outbox that is published by itself: a range of buckets of the topics of one lane. */
export interface ShardDefinition {
  readonly shard: number
  readonly lane: string
  /** Both inclusive, 0 to 255. */
  readonly bucketFrom: number
  readonly bucketTo: number
}

/** Which shard publishes which events. A row per generation; the newest counts. */
export interface ShardMap {
  readonly generation: number
  readonly shards: readonly ShardDefinition[]
  /** Topics that have shards of their own: topic to lane. All others are in the lane `default`. */
  readonly lanes: ReadonlyMap<string, string>
  /** Made by `oncebox adopt`: its shards begin when that has finished, and nobody closes those of the map before. */
  readonly isAdoption: boolean
}

export const defaultLane = 'default'
const bucketMax = 255
// One partition of the progress topic and two transactional ids each.
const shardsMax = 256

/**
 * Reads a row of outbox.shard_map.
 * @throws OutboxError RELAY_SHARD_MAP_INVALID
 */
export function parseShardMap(generation: number, value: unknown): ShardMap {
  const invalid = (why: string): OutboxError =>
    new OutboxError('RELAY_SHARD_MAP_INVALID', `shard map of generation ${generation}: ${why}`, {
      details: { generation },
    })
  if (!isObject(value) || !Array.isArray(value['shards'])) throw invalid('it has no list of shards')
  const shards = value['shards'].map((shard: unknown): ShardDefinition => {
    if (
      !isObject(shard) ||
      !isWhole(shard['shard'], shardsMax - 1) ||
      typeof shard['lane'] !== 'string' ||
      !isWhole(shard['bucketFrom'], bucketMax) ||
      !isWhole(shard['bucketTo'], bucketMax)
    )
      throw invalid('a shard has not a number, a lane and a range of buckets')
    const { lane, bucketFrom, bucketTo } = shard
    return { shard: shard['shard'], lane, bucketFrom, bucketTo }
  })
  const lanes = new Map<string, string>()
  for (const [topic, lane] of Object.entries(isObject(value['lanes']) ? value['lanes'] : {})) {
    if (typeof lane !== 'string') throw invalid(`topic ${topic} has no lane`)
    lanes.set(topic, lane)
  }
  const map = { generation, shards, lanes, isAdoption: value['adoption'] === true }
  const gap = findGap(map)
  if (gap !== undefined) throw invalid(gap)
  return map
}

/** Why some event would have no shard, or two; undefined when each has one. */
function findGap({ shards, lanes }: Pick<ShardMap, 'shards' | 'lanes'>): string | undefined {
  if (new Set(shards.map(({ shard }) => shard)).size !== shards.length) return 'a shard is named twice'
  const named = new Set([defaultLane, ...lanes.values()])
  const stray = shards.find(({ lane }) => !named.has(lane))
  if (stray !== undefined) return `shard ${stray.shard} is of lane ${stray.lane}, which has no topic`
  for (const lane of named) {
    let next = 0
    const ofLane = shards.filter((shard) => shard.lane === lane).sort((a, b) => a.bucketFrom - b.bucketFrom)
    for (const { bucketFrom, bucketTo } of ofLane) {
      if (bucketFrom !== next || bucketTo < bucketFrom)
        return `the buckets of lane ${lane} have a gap or overlap at ${next}`
      next = bucketTo + 1
    }
    if (next !== bucketMax + 1) return `the buckets of lane ${lane} end at ${next - 1}, not at ${bucketMax}`
  }
  return undefined
}

/** Splits the buckets of each lane evenly; shards are numbered from 0, in the order of the lanes. */
export function evenShards(shardsOfLane: ReadonlyMap<string, number>): readonly ShardDefinition[] {
  let shard = 0
  return [...shardsOfLane].flatMap(([lane, count]) =>
    Array.from({ length: count }, (_, index) => ({
      shard: shard++,
      lane,
      bucketFrom: Math.floor(((bucketMax + 1) * index) / count),
      bucketTo: Math.floor(((bucketMax + 1) * (index + 1)) / count) - 1,
    })),
  )
}

/** The shard that publishes an event of this topic and bucket. */
export function shardOf(
  event: { readonly topicName: string; readonly bucket: number },
  { shards, lanes }: ShardMap,
): number {
  const lane = lanes.get(event.topicName) ?? defaultLane
  const found = shards.find(
    (shard) => shard.lane === lane && shard.bucketFrom <= event.bucket && event.bucket <= shard.bucketTo,
  )
  invariant(found !== undefined, 'a shard map has a shard for each event')
  return found.shard
}

/**
 * The condition on a row of outbox.events by which it belongs to the shard, as SQL; empty when all rows do. Literals,
 * since COPY takes no parameters.
 */
export function shardCondition(definition: ShardDefinition, { lanes }: ShardMap): string {
  const conditions: string[] = []
  if (definition.bucketFrom > 0 || definition.bucketTo < bucketMax)
    conditions.push(`bucket between ${definition.bucketFrom} and ${definition.bucketTo}`)
  const topics = [...lanes].filter(([, lane]) => definition.lane === defaultLane || lane === definition.lane)
  const list = topics.map(([topic]) => quoteLiteral(topic)).join(', ')
  if (definition.lane !== defaultLane) conditions.push(`topic in (${list})`)
  else if (list !== '') conditions.push(`topic not in (${list})`)
  return conditions.join(' and ')
}

/** The same as arguments of outbox.read_live: buckets from and to, topics, and whether they are those of the shard or of others. */
export function shardSelection(definition: ShardDefinition, { lanes }: ShardMap): string {
  const isDefault = definition.lane === defaultLane
  const topics = [...lanes].filter(([, lane]) => isDefault || lane === definition.lane)
  const list = topics.map(([topic]) => quoteLiteral(topic)).join(', ')
  return `${definition.bucketFrom}, ${definition.bucketTo}, array[${list}]::text[], ${!isDefault}`
}

/** As quote_literal of PostgreSQL, whatever standard_conforming_strings says. */
function quoteLiteral(text: string): string {
  const doubled = text.replaceAll("'", "''")
  return doubled.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const isWhole = (value: unknown, max: number): value is number =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= max
