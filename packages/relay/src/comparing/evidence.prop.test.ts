import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseSnapshot, type Snapshot } from '../reading/snapshot.js'
import { parseShardMap } from '../sharing/shard-map.js'
import { Evidence, partitionName, placeName, type Suspect } from './evidence.js'
import { WindowWalk, type RecordedOrder } from './load-order.js'
import type { Anchor, Place } from './publication-order.js'

// A model of an outbox, its relay and a topic: transactions that overlap, windows that are published in several shards,
// by the order of events or transaction by transaction, relays that die between a window record and its publication, a database that is restored to an earlier moment and goes
// on with other transactions under the same numbers, and a topic that has forgotten its oldest records. The judge knows
// only what the database and the topic still hold. It must never call an event absent that was published, since it
// would be published twice; nor gone, when it never was, since it would be lost.

const shards = 2
const partitions = 2

interface Row {
  readonly seq: bigint
  readonly txid: bigint
  readonly bucket: number
  readonly partition: number
}

interface Window {
  readonly shard: number
  readonly epoch: number
  readonly number: bigint
  readonly to: Snapshot
  /** What its record names as confirmed. */
  readonly confirms: string | undefined
}

const windowName = ({ shard, epoch, number }: Pick<Window, 'shard' | 'epoch' | 'number'>): string =>
  `${shard}:${epoch}:${number}`

/** The committed and open transactions of a database. */
class Transactions {
  next = 4n
  seq = 0n
  readonly open = new Map<bigint, Row[]>()
  readonly rows: Row[] = []

  begin(): void {
    this.open.set(this.next++, [])
  }

  emit(choice: number): void {
    const [txid, rows] = [...this.open][choice % Math.max(1, this.open.size)] ?? []
    if (txid === undefined) return
    rows?.push({
      seq: ++this.seq,
      txid,
      bucket: choice % 2 === 0 ? 0 : 200,
      partition: (choice >> 1) % partitions,
    })
  }

  commit(choice: number): void {
    const [txid, rows] = [...this.open][choice % Math.max(1, this.open.size)] ?? []
    if (txid === undefined) return
    this.open.delete(txid)
    this.rows.push(...(rows ?? []))
  }

  snapshot(): Snapshot {
    const open = [...this.open.keys()]
    return parseSnapshot(`${open[0] ?? this.next}:${this.next}:${open.join(',')}`)
  }

  crash(): void {
    this.open.clear()
  }
}

interface Relay {
  epoch: number
  number: bigint
  readonly published: Set<bigint>
  confirmed: string | undefined
}

interface World {
  readonly database: Transactions
  readonly windows: Window[]
  readonly relays: readonly Relay[]
  readonly logs: readonly Row[][]
}

const shardOfRow = (row: Row): number => (row.bucket < 128 ? 0 : 1)

interface TakenWindow {
  readonly shard: number
  /** What becomes of the window: published; recorded by a relay that then dies; published and then it dies. */
  readonly outcome: 'published' | 'recorded' | 'last'
  /** Whether it is published transaction by transaction. */
  readonly whole: boolean
}

const lastOf = (txid: bigint, rows: readonly Row[]): bigint =>
  rows.reduce((last, row) => (row.txid === txid && row.seq > last ? row.seq : last), 0n)

function takeWindow(world: World, { shard, outcome, whole }: TakenWindow): void {
  const relay = world.relays[shard]
  if (relay === undefined) return
  const to = world.database.snapshot()
  const own = world.database.rows.filter((row) => shardOfRow(row) === shard && !relay.published.has(row.seq))
  const endOf = (row: Row): bigint => (whole ? lastOf(row.txid, own) : row.seq)
  const rows = own.sort((one, other) => Number(endOf(one) - endOf(other) || one.seq - other.seq))
  if (rows.length === 0) return
  const window = { shard, epoch: relay.epoch, number: relay.number + 1n, to, confirms: relay.confirmed }
  world.windows.push(window)
  if (outcome === 'recorded') {
    relay.epoch++
    return
  }
  for (const row of rows) {
    world.logs[row.partition]?.push(row)
    relay.published.add(row.seq)
  }
  relay.number = window.number
  relay.confirmed = windowName(window)
  if (outcome === 'last') relay.epoch++
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('begin' as const) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('emit' as const), choice: fc.nat(7) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('commit' as const), choice: fc.nat(7) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('window' as const),
      shard: fc.nat(shards - 1),
      whole: fc.boolean(),
      outcome: fc.constantFrom(
        'published' as const,
        'published' as const,
        'recorded' as const,
        'last' as const,
      ),
    }),
  },
)

test('what is called absent was never published, and what is called gone was', () => {
  const seen = { absent: 0, gone: 0, unknown: 0 }
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 60, maxLength: 150, size: 'max' }),
      fc.nat(100),
      fc.array(fc.nat(100), { minLength: partitions, maxLength: partitions }),
      fc.array(fc.nat(7), { maxLength: 6 }),
      fc.boolean(),
      (steps, restoredAt, forgotten, after, isOwnCluster) => {
        const world: World = {
          database: new Transactions(),
          windows: [],
          relays: Array.from({ length: shards }, () => ({
            epoch: 1,
            number: 0n,
            published: new Set<bigint>(),
            confirmed: undefined,
          })),
          logs: Array.from({ length: partitions }, () => []),
        }
        const cut = Math.floor((steps.length * restoredAt) / 100)
        let restored: { database: Transactions; windows: Window[] } | undefined
        for (const [index, each] of steps.entries()) {
          if (index === cut) restored = copyOf(world)
          if (each.kind === 'begin') world.database.begin()
          else if (each.kind === 'emit') world.database.emit(each.choice)
          else if (each.kind === 'commit') world.database.commit(each.choice)
          else takeWindow(world, each)
        }
        const { database, windows } = restored ?? copyOf(world)
        // The restored database goes on: other transactions, under numbers that were used before.
        database.crash()
        const commonRows = new Set(database.rows)
        for (const choice of after) {
          database.begin()
          database.emit(choice)
          database.commit(0)
        }
        const starts = world.logs.map((log, partition) =>
          Math.floor((log.length * (forgotten[partition] ?? 0)) / 101),
        )
        const evidence = gather(database, windows, world.logs, starts, commonRows, isOwnCluster)
        for (const row of database.rows) {
          const at = world.logs[row.partition]?.findIndex((found) => found === row) ?? -1
          if (at >= (starts[row.partition] ?? 0)) continue
          const finding = evidence.judge(suspectOf(row))
          if (finding.kind === 'absent') expect(at, 'absent').toBe(-1)
          if (finding.kind === 'gone') expect(at, 'gone').not.toBe(-1)
          if (finding.kind in seen) seen[finding.kind as keyof typeof seen]++
        }
      },
    ),
    { numRuns: 1_000 },
  )
  // The model reaches all of it; a judge that says unknown to everything would hold, too.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(200)
})

function copyOf({ database, windows }: World): { database: Transactions; windows: Window[] } {
  const copy = new Transactions()
  copy.next = database.next
  copy.seq = database.seq
  copy.rows.push(...database.rows)
  for (const [txid, rows] of database.open) copy.open.set(txid, [...rows])
  return { database: copy, windows: [...windows] }
}

const map = parseShardMap(1, {
  shards: [
    { shard: 0, lane: 'default', bucketFrom: 0, bucketTo: 127 },
    { shard: 1, lane: 'default', bucketFrom: 128, bucketTo: 255 },
  ],
  lanes: {},
})
const beginning = parseSnapshot('3:3:')
const placeOfShard = (shard: number): Place => ({ numbering: 'native', generation: 1, shard })

const suspectOf = (row: Row): Suspect => ({
  ...row,
  writtenBy: row.txid,
  topic: 0,
  isDeadLetter: false,
  partitionOf: () => row.partition,
})

/** What a comparison finds out from the restored database and what the topic still has. */
function gather(
  database: Transactions,
  windows: readonly Window[],
  logs: readonly (readonly Row[])[],
  starts: readonly number[],
  commonRows: ReadonlySet<Row>,
  isOwnCluster: boolean,
): Evidence {
  const order: RecordedOrder = {
    generations: {
      native: [
        { generation: 1, map, since: new Map(), begins: new Map([0, 1].map((shard) => [shard, beginning])) },
      ],
      copied: [],
    },
    nothingLeftOut: true,
  }
  const firsts: { partition: number; anchor: Omit<Anchor, 'window'> }[] = []
  for (const [partition, log] of logs.entries()) {
    const seen = new Set<number>()
    for (const row of log.slice(starts[partition])) {
      // Only of rows that are still in the database: of others nothing is known.
      if (!commonRows.has(row) || !database.rows.includes(row) || seen.has(shardOfRow(row))) continue
      seen.add(shardOfRow(row))
      firsts.push({
        partition,
        anchor: {
          ...row,
          lastOfTransaction: lastOf(row.txid, database.rows),
          topicName: 'events',
          place: placeOfShard(shardOfRow(row)),
        },
      })
    }
  }
  const confirmed = new Set(windows.map(({ confirms }) => confirms))
  const anchors = new Map<string, Anchor[]>()
  const publishedTo = new Map<string, Snapshot>()
  for (let shard = 0; shard < shards; shard++) {
    const ofShard = firsts.filter(({ anchor }) => anchor.place.shard === shard)
    const walk = new WindowWalk(ofShard.map(({ anchor }) => anchor))
    walk.see(0n, beginning)
    for (const window of windows
      .filter((each) => each.shard === shard && confirmed.has(windowName(each)))
      .sort((one, other) => Number(one.number - other.number)))
      walk.see(window.number, window.to)
    const found = walk.order()
    for (const [index, anchor] of found.anchors.entries()) {
      const name = partitionName(0, ofShard[index]?.partition ?? -1)
      anchors.set(name, [...(anchors.get(name) ?? []), anchor])
    }
    if (found.publishedTo !== undefined) publishedTo.set(placeName(placeOfShard(shard)), found.publishedTo)
  }
  return new Evidence({
    order,
    topics: [
      {
        name: 'events',
        isCompacted: false,
        partitions: starts.map((start) => ({ start: BigInt(start), end: 0n, from: 0n })),
      },
    ],
    isOwnCluster,
    positions: new Map(),
    publishedTo,
    anchors,
    copiers: new Set(),
  })
}
