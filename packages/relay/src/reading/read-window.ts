import type { Anchor } from './anchor.js'
import type { Snapshot } from './snapshot.js'

/** The columns a page carries, in this order. */
export const columns = [
  'seq',
  'id',
  'topic',
  'type',
  'source',
  'key',
  'partition',
  'headers',
  'payload',
  'occurred_at',
] as const

/** Index of a column in a page's rows. */
export const column = Object.fromEntries(columns.map((name, index) => [name, index])) as Readonly<
  Record<(typeof columns)[number], number>
>

export interface WindowPage {
  readonly from: Snapshot
  readonly to: Snapshot
  /** Members of from's open list that have ended in `to`. */
  readonly ended: readonly bigint[]
  /** Rows up to this one are published; 0 for the first page. */
  readonly after: bigint
  readonly rowsMax: number
  readonly bytesMax: number
  /** Which rows are the shard's own, as SQL; empty for all. */
  readonly condition: string
}

/** Fixed cost of a row in the byte bound: envelope headers and row fields, roughly what it takes in a record batch. */
export const rowOverheadBytes = 256

/**
 * Rows visible in `to` and not in `from`, in emit order. An open transaction holds nobody up: its rows join the first
 * window taken after its commit. `order by` names events.seq itself: a cast or alias of that name in the select list
 * would sort by text and lose rows when paging. Takes no lock beyond ACCESS SHARE, writes nothing. The running sum
 * bounds a page by bytes; its first row always passes.
 *
 * All values are digits, colons and commas checked by parseSnapshot: COPY takes no parameters.
 */
export function readWindow(page: WindowPage): string {
  return copyPage(rowsOfWindow(page), page)
}

export interface LivePage extends Pick<WindowPage, 'from' | 'rowsMax' | 'bytesMax'>, Omit<Anchor, 'epoch'> {
  /** Which rows are the shard's own, as arguments of the function. */
  readonly selection: string
  /** The snapshot that is known to hold nothing. */
  readonly emptyUpTo: Snapshot | undefined
}

/**
 * As {@link readWindow}, of a window that ends with the snapshot of this statement, which comes with it, and with its proof: all that a
 * poll asks, in one statement. A function, whose plans the server keeps.
 */
export const readLive = (page: LivePage): string => {
  const { from, emptyUpTo, lifeToken, shard, window, selection, rowsMax, bytesMax } = page
  const known = emptyUpTo === undefined ? 'null' : `'${emptyUpTo.text}'`
  const anchor = `'${lifeToken}', ${shard}, ${window.generation}, ${window.epoch}, ${window.number}`
  const behind = `'${from.xmax}', '{${from.open.join(',')}}'`
  return `copy (select * from outbox.read_live(${known}, ${anchor}, ${behind}, ${selection}, ${rowsMax}, ${bytesMax})) to stdout (format binary)`
}

/** The rows behind `from`, as the transaction of the read shows them. */
export function liveRows(
  { from, condition }: Pick<WindowPage, 'from' | 'condition'>,
  select = columns.join(', '),
): string {
  const own = condition === '' ? '' : ` and ${condition}`
  const { open } = from
  return live({
    select,
    range: `txid >= '${from.xmax}'`,
    members: open.length === 0 ? '' : `txid = any (${endedNow(open)})`,
    own,
  })
}

/** As endedSince, by the server, once before the rows are looked for: filtering behind the index would read those of open ones. */
const endedNow = (open: readonly bigint[]): string =>
  `(select coalesce(array_agg(o.txid), '{}') from unnest('{${open.join(',')}}'::xid8[]) as o(txid)
     where not exists (select from pg_snapshot_xip(pg_current_snapshot()) as x(txid) where x.txid = o.txid))::xid8[]`

function copyPage(rows: string, page: Pick<WindowPage, 'rowsMax' | 'bytesMax'>): string {
  return `copy (
  select ${selectedColumns('e')}
    from (select r.*, sum(coalesce(octet_length(r.payload), 0) + ${rowOverheadBytes}) over (order by r.seq rows between unbounded preceding and 1 preceding) as bytes_before
            from (${rows}
                   order by seq limit ${page.rowsMax}) r) e
   where coalesce(e.bytes_before, 0) < ${page.bytesMax}
   order by e.seq
) to stdout (format binary)`
}

/** The columns as they are sent. */
export const selectedColumns = (alias: string): string =>
  columns.map((name) => (name === 'headers' ? `${alias}.headers::text` : `${alias}.${name}`)).join(', ')

interface WindowRows extends Pick<WindowPage, 'from' | 'to' | 'ended' | 'after' | 'condition'> {
  /** Also from its beginning, the window is walked by seq. */
  readonly walks?: boolean
}

/** The rows of a window whose snapshots are both known. */
export function rowsOfWindow(
  { from, to, ended, after, condition, walks = false }: WindowRows,
  select = columns.join(', '),
): string {
  const own = condition === '' ? '' : ` and ${condition}`
  const range = `txid >= '${from.xmax}' and txid < '${to.xmax}' and pg_visible_in_snapshot(txid, '${to.text}')`
  const members = ended.length === 0 ? '' : `txid = any ('{${ended.join(',')}}'::xid8[])`
  if (walks || after > 0n || from.xmax <= 3n) {
    // Backlog: walk the seq indexes, merged over the slots, from where the last page ended.
    return `select ${select} from outbox.events where seq > ${after} and (${range}${members === '' ? '' : ` or ${members}`})${own}`
  }
  return live({ select, range, members, own })
}

/**
 * Two ranges of the txid index. `offset 0` keeps the planner from walking all of seq, in its order, as it would where it takes
 * `txid >= n` for a third of the table: 9 ms a read behind 60,000 published rows, and more with each.
 */
function live({ select, range, members, own }: LiveRanges): string {
  const from = `select ${select} from outbox.events`
  const rest = members === '' ? '' : ` union all ${from} where ${members}${own}`
  return `select * from (${from} where ${range}${own}${rest} offset 0) w`
}

interface LiveRanges {
  readonly select: string
  readonly range: string
  readonly members: string
  readonly own: string
}

// A process that stands still in the middle of a read keeps its locks on the slots until then, and rotation from emptying them.
const standsStillMs = 10_000

/** Settings of a read, for its transaction only. */
export const readSettings = (backlog: boolean): string =>
  `set local idle_in_transaction_session_timeout = ${standsStillMs}; ${plannerSettings(backlog)}`

/** Statistics are always wrong after TRUNCATE, so the planner is led. */
export function plannerSettings(backlog: boolean): string {
  const settings = ['enable_seqscan = off', 'jit = off', 'max_parallel_workers_per_gather = 0']
  if (backlog) settings.push('enable_sort = off', 'enable_bitmapscan = off')
  return settings.map((setting) => `set local ${setting};`).join(' ')
}
