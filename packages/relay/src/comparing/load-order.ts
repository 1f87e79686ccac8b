import type { Client } from 'pg'
import { parseSnapshot, isVisible, type Snapshot } from '../reading/snapshot.js'
import type { Position } from '../position.js'
import { parseShardMap } from '../sharing/shard-map.js'
import type { Anchor, Generation, Numbering, Place, PublishedWindow } from './publication-order.js'

/** The window records of an outbox, as far as they prove an order. */
export interface RecordedOrder {
  readonly generations: Readonly<Record<Numbering, readonly Generation[]>>
  /** True when the first start is known to have taken every event. */
  readonly nothingLeftOut: boolean
}

/** Its own txid is the transaction that wrote the tuple: the row was not copied. As in prove-position.ts. */
const isOriginal = (alias: string): string =>
  `${alias}.xmin::text::bigint = mod(${alias}.txid::text::numeric, 4294967296)::bigint`

// Window 0 of each shard, where its generation begins, or the first that rotation has left. Of two that a first start wrote
// at once, the older counts. An adoption that was interrupted before its shards began has decided nothing.
const readBeginnings = `
select distinct on (m.generation, w.shard, original)
       m.generation, m.map, w.shard, w.to_snapshot::text as begin, w.window_number = 0 as exact, ${isOriginal('w')} as original
  from outbox.shard_map m
  join outbox.windows w on w.generation = m.generation
 where not coalesce((m.map ->> 'adoption')::boolean, false)
    or exists (select from outbox.initialised i where i.generation = m.generation)
 order by m.generation, w.shard, original, w.window_number, w.epoch`

interface BeginningRow {
  readonly generation: number
  readonly map: unknown
  readonly shard: number
  readonly begin: string
  readonly exact: boolean
  readonly original: boolean
}

/** @param client In the transaction of the comparison. */
export async function loadOrder(client: Client): Promise<RecordedOrder> {
  const { rows } = await client.query<BeginningRow>(readBeginnings)
  const generations: Record<Numbering, Generation[]> = { native: [], copied: [] }
  for (const row of rows) {
    const list = generations[row.original ? 'native' : 'copied']
    let found = list.at(-1)
    if (found?.generation !== row.generation) {
      found = {
        generation: row.generation,
        map: parseShardMap(row.generation, row.map),
        begins: new Map(),
        since: new Map(),
      }
      list.push(found)
    }
    // Filled here and nowhere else.
    const into = (row.exact ? found.begins : found.since) as Map<number, Snapshot>
    into.set(row.shard, parseSnapshot(row.begin))
  }
  const first = rows.filter(({ generation }) => generation === 1)
  const nothingLeftOut =
    first.length > 0 && first.every(({ begin, exact }) => exact && parseSnapshot(begin).xmax <= 3n)
  return { generations, nothingLeftOut }
}

// In the order of a shard's windows. A record that a dying relay left bounds nothing: what it shows was published in a later
// window. So only those count that were confirmed, and those that the position in Kafka has passed in its own epoch.
const confirmedWindows = `
select w.window_number, w.to_snapshot::text as "to"
  from outbox.windows w
 where w.shard = $1 and w.generation = $2 and (${isOriginal('w')}) = $3
   and (w.window_number = 0 or w.epoch = $4 and w.window_number <= $5
        or exists (select from outbox.windows c
                    where c.shard = w.shard and c.confirmed_generation = w.generation
                      and c.confirmed_epoch = w.epoch and c.confirmed_window = w.window_number))
 order by w.window_number, w.epoch`

const windowsPerFetch = 5_000

/** What the windows of one shard say: in which of them each anchor was published, and how far the last of them goes. */
export interface ShardOrder {
  readonly anchors: readonly Anchor[]
  readonly publishedTo: Snapshot | undefined
}

/**
 * Walks the confirmed windows of a shard once, however many there are, and finds the first that shows each anchor.
 * @param client In the transaction of the comparison.
 */
export async function loadShardOrder(
  client: Client,
  place: Place,
  anchors: readonly Omit<Anchor, 'window'>[],
  position: Position | undefined,
): Promise<ShardOrder> {
  const walk = new WindowWalk(anchors)
  await client.query(`declare windows no scroll cursor for ${literal(confirmedWindows, place, position)}`)
  try {
    for (let fetched = windowsPerFetch; fetched === windowsPerFetch;) {
      const { rows } = await client.query<{ window_number: string; to: string }>(
        `fetch ${windowsPerFetch} from windows`,
      )
      for (const row of rows) walk.see(BigInt(row.window_number), parseSnapshot(row.to))
      fetched = rows.length
    }
  } finally {
    await client.query('close windows')
  }
  return walk.order()
}

/** Finds in which of a shard's windows anchors were published; is shown the windows in their order. */
export class WindowWalk {
  readonly #anchors: readonly Omit<Anchor, 'window'>[]
  readonly #placed = new Map<Omit<Anchor, 'window'>, PublishedWindow>()
  #open: readonly Omit<Anchor, 'window'>[]
  #before: { readonly number: bigint; readonly to: Snapshot } | undefined

  constructor(anchors: readonly Omit<Anchor, 'window'>[]) {
    this.#anchors = anchors
    this.#open = anchors
  }

  /** @param number 0 is where the shard began. */
  see(number: bigint, to: Snapshot): void {
    if (number > 0n) {
      // Numbers of a chain rise by one: a gap is a window of which nobody says whether it was published.
      const from = this.#before?.number === number - 1n ? this.#before.to : undefined
      const shown = this.#open.filter(({ txid }) => isVisible(txid, to))
      for (const anchor of shown) this.#placed.set(anchor, { to, from })
      if (shown.length > 0) this.#open = this.#open.filter((anchor) => !this.#placed.has(anchor))
    }
    this.#before = { number, to }
  }

  order(): ShardOrder {
    return {
      anchors: this.#anchors.map((anchor) => ({ ...anchor, window: this.#placed.get(anchor) })),
      publishedTo: this.#before?.to,
    }
  }
}

/** DECLARE takes no parameters in the extended protocol of every driver; these are numbers and a truth value. */
const literal = (
  sql: string,
  { shard, generation, numbering }: Place,
  position: Position | undefined,
): string =>
  sql
    .replaceAll('$1', String(shard))
    .replaceAll('$2', String(generation))
    .replaceAll('$3', String(numbering === 'native'))
    .replaceAll('$4', String(position?.window.epoch ?? -1))
    .replaceAll('$5', String(lastPublished(position)))

/** The number of the last window that was published whole, by the position. */
function lastPublished(position: Position | undefined): number {
  if (position === undefined) return -1
  return position.complete ? position.window.number : position.window.number - 1
}
