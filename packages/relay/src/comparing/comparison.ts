import type { Client } from 'pg'
import type { KafkaClient } from '@oncebox/kafka'
import type { Position } from '../position.js'
import type { Snapshot } from '../reading/snapshot.js'
import { describeComparedTopic, type ComparedTopic } from './compared-topic.js'
import { RecordEntry, RowEntry } from './entries.js'
import { Evidence, partitionName, placeName, type Finding, type Placed } from './evidence.js'
import { entriesOf, joinByName } from './join.js'
import { KeyOrder, type KeySighting } from './key-order.js'
import { loadOrder, loadShardOrder, type RecordedOrder } from './load-order.js'
import { isSurelyBefore, type Anchor, type Place } from './publication-order.js'
import { noRows, scanLateRows, scanRows, type RowScope, type ScannedRows } from './scan-rows.js'
import { scanTopic } from './scan-topic.js'
import { partCount, partOf, Spill } from './spill.js'

export interface CompareRequest {
  /** In a REPEATABLE READ transaction whose snapshot is `at`, with ACCESS SHARE on all slots taken before it. */
  readonly client: Client
  readonly at: Snapshot
  readonly kafka: KafkaClient
  readonly scope: RowScope
  /** False when the outbox was published to another cluster before. */
  readonly isOwnCluster: boolean
  /** Positions in Kafka whose window records are in this database, by place. */
  readonly positions: ReadonlyMap<string, Position>
  /** How long open transactions on the topics are waited for. */
  readonly decidedWithinMs: number
  /** Opened after the topics were read, when relays may be running: for what was committed meanwhile. */
  readonly connectLate?: () => Promise<Client>
  readonly onProgress: (sentence: string) => void
  readonly signal: AbortSignal
}

/** An event that is in the outbox and not in its topic. */
export interface MissingEvent {
  readonly row: RowEntry
  readonly finding: Finding
  readonly topic: string
}

/** An event that is in its topic more than once. */
export interface DoubledEvent {
  readonly id: string
  readonly topic: string
  readonly places: readonly string[]
}

/** Two events of a key that are in their topic the wrong way round, for certain. */
export interface ReorderedPair {
  readonly topic: string
  readonly partition: number
  /** Offset and sequence number of the one that should have come second, then of the other. */
  readonly early: { readonly offset: bigint; readonly seq: bigint }
  readonly late: { readonly offset: bigint; readonly seq: bigint }
}

export interface ComparedCounts {
  readonly rows: number
  readonly records: number
  readonly present: number
  readonly doubled: number
}

const pairsMax = 10_000
const keepPlacesMax = 10

/**
 * Compares the events of an outbox with those of its topics, by id. In memory are some 40 MiB and a 256th of the
 * events; the rest is in temporary files, some 180 bytes an event.
 */
export class Comparison implements AsyncDisposable {
  readonly counts: ComparedCounts
  readonly topics: readonly ComparedTopic[]
  readonly doubled: readonly DoubledEvent[]
  readonly presentByTopic: ReadonlyMap<string, number>
  /** Of the rows' sequence numbers, both inclusive. */
  readonly seqs: { readonly lowest: bigint; readonly highest: bigint }
  readonly #parts: Parts

  private constructor(parts: Parts) {
    this.#parts = parts
    this.topics = parts.topics
    this.doubled = parts.found.doubled
    this.presentByTopic = new Map(
      [...parts.found.presentByTopic].map(([topic, count]) => [parts.scanned.topics.nameOf(topic), count]),
    )
    const { lowestSeq = 0n, highestSeq } = parts.scanned
    this.seqs = { lowest: lowestSeq, highest: highestSeq }
    this.counts = {
      rows: parts.rows,
      records: parts.records,
      present: parts.found.present,
      doubled: parts.found.doubledCount,
    }
  }

  /** @throws OutboxError KAFKA_PARTITION_UNDECIDED, KAFKA_TOPIC_UNAVAILABLE, KAFKA_AUTHORIZATION_FAILED; a driver error */
  static async make(request: CompareRequest): Promise<Comparison> {
    const files = new Files()
    try {
      const read = await readBoth(request, files)
      const order = await loadOrder(request.client)
      const found = await match(read, order, request, files)
      const evidence = await weigh(found, order, read, request)
      return new Comparison({
        ...read,
        order,
        found,
        evidence,
        files,
        client: request.client,
        positions: request.positions,
      })
    } catch (error) {
      await files[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Every event that is not in its topic, with what is known about it. */
  async *missing(): AsyncGenerator<MissingEvent> {
    const { found, evidence, topics } = this.#parts
    for (let part = 0; part < partCount; part++) {
      for (const entry of entriesOf(await found.missing.read(part), RowEntry.bytes)) {
        const row = new RowEntry(entry)
        yield { row, finding: evidence.judge(row), topic: topics[row.topic]?.name ?? '' }
      }
    }
  }

  /** Records of this outbox's whose events are not in it. */
  get strayCount(): number {
    return this.#parts.found.strays
  }

  /** The order of what is there, and the highest sequence number of each key. */
  get keys(): KeyOrder {
    return this.#parts.found.keys
  }

  /**
   * Events of a key that are the wrong way round. Of two whose transactions overlapped nobody can say so.
   * @returns Those that are certain; `unjudged` counts what was left out when there were too many to look at.
   */
  async reordered(): Promise<{ readonly pairs: readonly ReorderedPair[]; readonly unjudged: number }> {
    const { client, evidence, positions, topics } = this.#parts
    const candidates: { readonly early: KeySighting; readonly late: KeySighting }[] = []
    let unjudged = 0
    for await (const inversion of this.keys.inversions())
      if (candidates.length < pairsMax) candidates.push(inversion)
      else unjudged++
    const anchors = candidates.flatMap(({ late }) => anchorOf(late, evidence, topics) ?? [])
    const placed = await placeInWindows(client, anchors, positions)
    const bySeq = new Map(placed.anchors.map((anchor) => [anchor.seq, anchor]))
    const pairs = candidates.flatMap(({ early, late }): ReorderedPair[] => {
      const anchor = bySeq.get(late.seq)
      const other = anchorOf(early, evidence, topics)
      if (anchor === undefined || other === undefined || !isSurelyBefore(anchor, other, other.place))
        return []
      return [{ topic: anchor.topicName, partition: late.partition, early, late }]
    })
    return { pairs, unjudged }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.files[Symbol.asyncDispose]()
  }
}

interface ReadBoth {
  readonly scanned: ScannedRows
  readonly topics: readonly ComparedTopic[]
  readonly rowSpill: Spill
  readonly recordSpill: Spill
  readonly rows: number
  readonly records: number
}

interface Matched {
  readonly present: number
  readonly presentByTopic: ReadonlyMap<number, number>
  readonly doubled: readonly DoubledEvent[]
  readonly doubledCount: number
  readonly missing: Spill
  readonly strays: number
  readonly keys: KeyOrder
  /** By partition, then by place: the first record that was published in its turn. */
  readonly firsts: ReadonlyMap<string, ReadonlyMap<string, FirstRecord>>
}

interface FirstRecord {
  readonly offset: bigint
  readonly anchor: Omit<Anchor, 'window'>
}

interface Parts extends ReadBoth {
  readonly order: RecordedOrder
  readonly found: Matched
  readonly evidence: Evidence
  readonly files: Files
  readonly client: Client
  readonly positions: ReadonlyMap<string, Position>
}

/** What is closed together. */
class Files implements AsyncDisposable {
  readonly #open: AsyncDisposable[] = []

  keep<File extends AsyncDisposable>(file: File): File {
    this.#open.push(file)
    return file
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.splice(0).map((file) => file[Symbol.asyncDispose]()))
  }
}

/** Rows first: they say which topics to read, and which sources are this outbox's. */
async function readBoth(request: CompareRequest, files: Files): Promise<ReadBoth> {
  const { kafka, scope, signal, onProgress } = request
  const rowSpill = files.keep(await Spill.create(RowEntry.bytes))
  const recordSpill = files.keep(await Spill.create(RecordEntry.bytes))
  const scanned = noRows()
  const progress = new Counter((count) => onProgress(`${count} rows read`))
  const scan = { ...request, rows: rowSpill, onPage: (count: number) => progress.add(count) }
  await scanRows(scan, scanned)
  const rows = rowSpill.count
  const topics: ComparedTopic[] = []
  for (const [number, name] of scanned.topics.all.entries()) {
    const topic = await describeComparedTopic(kafka, name, { ...request, ...sinceOf(scope) })
    topics.push(topic)
    const counter = new Counter((count) => onProgress(`${name}: ${count} records read`))
    await scanTopic({
      kafka,
      topic,
      number,
      sources: scanned.sources,
      ...sinceOf(scope),
      records: recordSpill,
      onRecords: (count) => counter.add(count),
      signal,
    })
  }
  const records = recordSpill.count
  if (request.connectLate !== undefined) await addLateRows(request, request.connectLate, rowSpill, scanned)
  return { scanned, topics, rowSpill, recordSpill, rows, records }
}

const sinceOf = ({ sinceMs }: RowScope): { readonly sinceMs?: number } =>
  sinceMs === undefined ? {} : { sinceMs }

async function addLateRows(
  request: CompareRequest,
  connect: () => Promise<Client>,
  rows: Spill,
  scanned: ScannedRows,
): Promise<void> {
  const client = await connect()
  try {
    await client.query('begin isolation level read committed read only')
    // Their topics may be new: nothing of those was read, and nothing is said about them.
    await scanLateRows({ ...request, client, rows, onPage: () => undefined }, scanned)
    await client.query('commit')
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function match(
  { scanned, topics, rowSpill, recordSpill }: ReadBoth,
  order: RecordedOrder,
  { isOwnCluster, signal }: CompareRequest,
  files: Files,
): Promise<Matched> {
  const missing = files.keep(await Spill.create(RowEntry.bytes))
  const keys = files.keep(await KeyOrder.create())
  const placing = new Evidence({
    order,
    topics,
    isOwnCluster,
    copiers: scanned.copiers,
    positions: new Map(),
    publishedTo: new Map(),
    anchors: new Map(),
  })
  const firsts = new Map<string, Map<string, FirstRecord>>()
  const doubled: DoubledEvent[] = []
  const presentByTopic = new Map<number, number>()
  let present = 0
  let doubledCount = 0
  let strays = 0
  for await (const { rows, records } of joinByName(rowSpill, recordSpill)) {
    signal.throwIfAborted()
    const counted = rows.filter(({ isLate }) => !isLate)
    const [row] = counted
    if (rows.length === 0) strays += records.length
    if (row === undefined) continue
    // A copy in another topic is a repair's: it is no record of the event in its own.
    const own = records.filter(({ topic }) => topic === row.topic)
    if (own.length === 0) for (const each of counted) copyTo(missing, each)
    else {
      present += counted.length
      presentByTopic.set(row.topic, (presentByTopic.get(row.topic) ?? 0) + counted.length)
    }
    for (const record of own) {
      keys.add(row, record)
      note(row, record, { placing, topics, firsts })
    }
    const inTurn = own.filter(({ isOutOfTurn }) => !isOutOfTurn)
    if (inTurn.length > counted.length) {
      doubledCount++
      if (doubled.length < pairsMax) doubled.push(describeDoubled(row, inTurn, topics))
    }
  }
  await Promise.all([missing.written(), keys.written()])
  return { present, presentByTopic, doubled, doubledCount, missing, strays, keys, firsts }
}

function copyTo(spill: Spill, entry: RowEntry | RecordEntry): void {
  entry.copyTo(spill.add(partOf(entry.name)))
}

interface Noting {
  readonly placing: Evidence
  readonly topics: readonly ComparedTopic[]
  readonly firsts: Map<string, Map<string, FirstRecord>>
}

/** Keeps the first record of each place in each partition. */
function note(row: RowEntry, record: RecordEntry, { placing, topics, firsts }: Noting): void {
  const name = partitionName(record.topic, record.partition)
  const { offset } = record
  // A dead letter that was requeued came late, as did what a repair has published.
  if (record.isOutOfTurn || row.isDeadLetter) return
  const anchor = anchorOf(row, placing, topics)
  if (anchor === undefined) return
  let ofPartition = firsts.get(name)
  if (ofPartition === undefined) firsts.set(name, (ofPartition = new Map()))
  const place = placeName(anchor.place)
  const known = ofPartition.get(place)
  if (known === undefined || offset < known.offset) ofPartition.set(place, { offset, anchor })
}

function anchorOf(
  row: Placed,
  evidence: Evidence,
  topics: readonly ComparedTopic[],
): Omit<Anchor, 'window'> | undefined {
  const { txid, seq, bucket } = row
  const topicName = topics[row.topic]?.name
  const place = topicName === undefined ? undefined : evidence.placeOf(row)
  if (topicName === undefined || place === undefined || typeof place === 'string') return undefined
  return { txid, seq, bucket, topicName, place }
}

const describeDoubled = (
  row: RowEntry,
  records: readonly RecordEntry[],
  topics: readonly ComparedTopic[],
): DoubledEvent => {
  const topic = topics[row.topic]?.name ?? ''
  const places = records
    .slice(0, keepPlacesMax)
    .map(({ partition, offset }) => `${topic}-${partition}@${offset}`)
  return { id: row.id, topic, places }
}

/** Finds the windows of the first records, and makes evidence of them. */
async function weigh(
  { firsts }: Matched,
  order: RecordedOrder,
  { scanned, topics }: ReadBoth,
  { client, isOwnCluster, positions }: CompareRequest,
): Promise<Evidence> {
  const named = [...firsts].flatMap(([partition, places]) =>
    [...places.values()].map(({ anchor }) => ({ partition, anchor })),
  )
  const { anchors, publishedTo } = await placeInWindows(
    client,
    named.map(({ anchor }) => anchor),
    positions,
    currentPlaces(order),
  )
  const byPartition = new Map<string, Anchor[]>()
  for (const [index, anchor] of anchors.entries()) {
    const partition = named[index]?.partition ?? ''
    const known = byPartition.get(partition)
    if (known === undefined) byPartition.set(partition, [anchor])
    else known.push(anchor)
  }
  return new Evidence({
    order,
    topics,
    isOwnCluster,
    positions,
    publishedTo,
    anchors: byPartition,
    copiers: scanned.copiers,
  })
}

/** The shards of the newest map in each numbering: how far they are is asked even where no record of theirs is left. */
function currentPlaces({ generations }: RecordedOrder): readonly Place[] {
  return (['native', 'copied'] as const).flatMap((numbering) => {
    const newest = generations[numbering].at(-1)
    return (newest?.map.shards ?? []).map(({ shard }) => ({
      numbering,
      generation: newest?.generation ?? 0,
      shard,
    }))
  })
}

/** The anchors, in the order given, with their windows; and how far the windows of each place go. */
async function placeInWindows(
  client: Client,
  anchors: readonly Omit<Anchor, 'window'>[],
  positions: ReadonlyMap<string, Position>,
  others: readonly Place[] = [],
): Promise<{ readonly anchors: readonly Anchor[]; readonly publishedTo: ReadonlyMap<string, Snapshot> }> {
  const places = new Map(
    [...anchors.map(({ place }) => place), ...others].map((place) => [placeName(place), place]),
  )
  const placed = new Map<Omit<Anchor, 'window'>, Anchor>()
  const publishedTo = new Map<string, Snapshot>()
  for (const [name, place] of places) {
    const ofPlace = anchors.filter((anchor) => placeName(anchor.place) === name)
    const found = await loadShardOrder(client, place, ofPlace, positions.get(name))
    for (const [index, anchor] of ofPlace.entries()) {
      const withWindow = found.anchors[index]
      if (withWindow !== undefined) placed.set(anchor, withWindow)
    }
    if (found.publishedTo !== undefined) publishedTo.set(name, found.publishedTo)
  }
  return {
    anchors: anchors.map((anchor) => placed.get(anchor) ?? { ...anchor, window: undefined }),
    publishedTo,
  }
}

const reportEvery = 250_000

/** Says how far it is, now and then. */
class Counter {
  readonly #say: (count: number) => void
  #count = 0
  #said = 0

  constructor(say: (count: number) => void) {
    this.#say = say
  }

  add(count: number): void {
    this.#count += count
    if (this.#count - this.#said < reportEvery) return
    this.#said = this.#count
    this.#say(this.#count)
  }
}
