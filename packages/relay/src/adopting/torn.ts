import type { Client } from 'pg'
import { envelopeHeaders, OutboxError } from '@oncebox/core'
import {
  findTornTransactions,
  holdIds,
  readPartition,
  readUndecided,
  readTopicOffsets,
  type ConsumedRecord,
  type HeldIds,
  type KafkaClient,
  type TopicDescription,
  type TornTransaction,
} from '@oncebox/kafka'
import type { ResolvedRelayOptions } from '../options.js'
import { transactionalIdsOf } from './fence-outbox.js'

/** How an operator wants transactions ended of which nobody can say whether they were committed. */
export type TornDecision = 'commit' | 'abort'

/** A transaction that Kafka had left half ended, and how it was ended. */
export interface EndedTransaction {
  readonly topic: string
  readonly partition: number
  readonly how: 'commit' | 'abort'
  readonly events: number
}

export interface EndTornRequest {
  readonly options: ResolvedRelayOptions
  readonly client: Client
  readonly kafka: KafkaClient
  readonly progress: TopicDescription
  readonly shards: readonly number[]
  readonly torn: TornDecision | undefined
  readonly onProgress: (sentence: string) => void
  readonly signal: AbortSignal
}

// Markers are written within milliseconds of the takeover of an id, unless they were skipped.
const patienceMs = 3_000

/**
 * Takes the transactional ids of every shard over, and ends each transaction that is over for its coordinator and still
 * open on a partition (KAFKA-20734), where no read_committed reader gets past it.
 *
 * On the progress topic either way will do: adopt writes new positions behind it. On a topic of events it is committed
 * when all its events are in the outbox and none is anywhere else in the topic, which is where they belong, in their
 * order. It is aborted when the outbox has none of them (the database lost them: they must not be seen), or when some were
 * published again meanwhile; what is then absent is published by adopt.
 *
 * @throws OutboxError KAFKA_TRANSACTION_TORN when the outbox has some of its events and not the others
 */
export async function endTornTransactions(request: EndTornRequest): Promise<readonly EndedTransaction[]> {
  const { options, client, kafka, progress, shards, signal } = request
  await using held = await holdIds(kafka, {
    transactionalIds: shards.flatMap((shard) => transactionalIdsOf(options.name, shard)),
    transactionTimeoutMs: options.transactionTimeoutMs,
    signal,
  })
  const ended: EndedTransaction[] = []
  for (let partition = 0; partition < progress.partitions; partition++)
    for (const torn of await held.tornOn({ topic: progress.name, partition }, { patienceMs }))
      ended.push(await end(held, torn, 'abort', 0, request))
  const { rows } = await client.query<{ topic: string }>('select distinct topic from outbox.events')
  for (const { topic } of rows) {
    const { partitions } = await readTopicOffsets(kafka, topic, { signal })
    for (const partition of partitions.keys())
      for (const torn of await held.tornOn({ topic, partition }, { patienceMs })) {
        const events = await eventsOf(kafka, torn, signal)
        ended.push(await end(held, torn, await decide(request, torn, events), events.size, request))
      }
  }
  return ended
}

async function end(
  held: HeldIds,
  torn: TornTransaction,
  how: 'commit' | 'abort',
  events: number,
  { onProgress }: EndTornRequest,
): Promise<EndedTransaction> {
  const { topic, partition } = torn
  await held.end(torn, how)
  onProgress(
    `${topic}-${partition}: a transaction that Kafka had left half ended is over (${how}, ${events} events)`,
  )
  return { topic, partition, how, events }
}

/** Ids of the events of a transaction on its partition; a batch of a relay at most. */
async function eventsOf(
  kafka: KafkaClient,
  { topic, partition, startOffset, producerId }: TornTransaction,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>()
  const from = { topic, partition, fromOffset: startOffset, signal }
  for await (const undecided of readUndecided(kafka, from))
    if (undecided.producerId === producerId && undecided.outcome === 'open') ids.add(nameOf(undecided.record))
  return ids
}

async function decide(
  { client, kafka, torn: wanted, signal }: EndTornRequest,
  torn: TornTransaction,
  events: ReadonlySet<string>,
): Promise<'commit' | 'abort'> {
  const known = await countInOutbox(client, events)
  if (known === 0) return wanted ?? 'abort'
  if (known < events.size) {
    if (wanted !== undefined) return wanted
    throw new OutboxError(
      'KAFKA_TRANSACTION_TORN',
      `${torn.topic}-${torn.partition}: of the ${events.size} events of a transaction that Kafka left half ended, the outbox has ${known}: rotation has emptied a slot, or the database lost some`,
      { details: { topic: torn.topic, partition: torn.partition, offset: String(torn.startOffset) } },
    )
  }
  return (await isAnyCommitted(kafka, torn.topic, events, signal)) ? 'abort' : 'commit'
}

const countKnown = `
select count(distinct (e.source, e.id)) as known
  from unnest($1::text[], $2::uuid[]) as a(source, id)
  join outbox.events e on e.id = a.id and e.source = a.source
 where not exists (select from outbox.dead_letters d where d.source = e.source and d.id = e.id)`

async function countInOutbox(client: Client, events: ReadonlySet<string>): Promise<number> {
  const pairs = [...events].map((name) => splitName(name))
  const { rows } = await client.query<{ known: string }>(countKnown, [
    pairs.map(({ source }) => source),
    pairs.map(({ id }) => id),
  ])
  return Number(rows[0]?.known ?? 0)
}

/** Whether one of the events is committed somewhere in the topic, also behind a transaction that never ended. */
async function isAnyCommitted(
  kafka: KafkaClient,
  topic: string,
  events: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<boolean> {
  const { partitions } = await readTopicOffsets(kafka, topic, { signal })
  for (const [partition, { lastStableOffset }] of partitions) {
    const at = { topic, partition, signal }
    for await (const record of readPartition(kafka, { ...at, endOffset: lastStableOffset }))
      if (events.has(nameOf(record))) return true
    for await (const { record, outcome } of readUndecided(kafka, { ...at, fromOffset: lastStableOffset }))
      if (outcome === 'committed' && events.has(nameOf(record))) return true
  }
  return false
}

/** Id, then source: ids have a fixed length. */
function nameOf({ headers, offset }: ConsumedRecord): string {
  const header = (wanted: string): string | undefined =>
    headers.find(([name]) => name === wanted)?.[1].toString()
  const [id, source] = [header(envelopeHeaders.id), header(envelopeHeaders.source)]
  return id === undefined || source === undefined ? `no event at ${offset}` : `${id}${source}`
}

const splitName = (name: string): { readonly id: string; readonly source: string } =>
  uuidLength.test(name) ? { id: name.slice(0, 36), source: name.slice(36) } : { id: noId, source: '' }

const uuidLength = /^[0-9a-f-]{36}/i
const noId = '00000000-0000-0000-0000-000000000000'

/**
 * A sentence for each partition on which a transaction of the relay is over for its coordinator and still open. Asks and
 * changes nothing: a transaction that a running relay has in hand is not over.
 */
export async function lookForTorn(
  client: Client,
  kafka: KafkaClient,
  { name, progressTopic }: ResolvedRelayOptions,
  shards: readonly number[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { rows } = await client.query<{ topic: string }>('select distinct topic from outbox.events')
  const transactionalIds = shards.flatMap((shard) => transactionalIdsOf(name, shard))
  const torn = await findTornTransactions(kafka, {
    transactionalIds,
    topics: [progressTopic, ...rows.map(({ topic }) => topic)],
    patienceMs,
    signal,
  })
  return torn.map(
    ({ topic, partition, startOffset }) =>
      `${topic}-${partition}: Kafka left a transaction half ended, from offset ${startOffset} on (KAFKA-20734)`,
  )
}
