import type { CompareRequest } from './compare-request.js'
import type { ComparedTopic } from './compared-topic.js'
import { Evidence, partitionName, placeName } from './evidence.js'
import { joinByName } from './join.js'
import { KeyOrder } from './key-order.js'
import type { RecordedOrder } from './load-order.js'
import type { OpenFiles } from './open-files.js'
import { anchorOf, type UnplacedAnchor } from './place-in-windows.js'
import type { BothSides } from './read-both-sides.js'
import type { RecordEntry } from './record-entry.js'
import { RowEntry } from './row-entry.js'
import { partOf, Spill } from './spill.js'

/** An event that is in its topic more than once. */
export interface DoubledEvent {
  readonly id: string
  readonly topic: string
  readonly places: readonly string[]
}

/** Which events are in their topics, and where. */
export interface MatchedEvents {
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
  readonly anchor: UnplacedAnchor
}

const doubledMax = 10_000
const keepPlacesMax = 10

export async function matchEvents(
  { scanned, topics, rowSpill, recordSpill }: BothSides,
  order: RecordedOrder,
  { isOwnCluster, signal }: CompareRequest,
  files: OpenFiles,
): Promise<MatchedEvents> {
  const missing = files.keep(await Spill.create(RowEntry.size))
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
      if (doubled.length < doubledMax) doubled.push(describeDoubled(row, inTurn, topics))
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
