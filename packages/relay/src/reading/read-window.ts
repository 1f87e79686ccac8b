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
  return copyPage(rows(page), page)
}

/**
 * As {@link readWindow}, of a window that ends with the snapshot of the transaction it runs in, which must be REPEATABLE
 * READ: everything that is visible in it is visible in `to`. So `to` need not be known before, which saves a round trip.
 */
export function readWindowUntilNow(page: Omit<WindowPage, 'to' | 'ended' | 'after'>): string {
  const own = page.condition === '' ? '' : ` and ${page.condition}`
  const range = `txid >= '${page.from.xmax}'`
  const { open } = page.from
  return copyPage(
    live({ range, members: open.length === 0 ? '' : `txid = any (${endedNow(open)})`, own }),
    page,
  )
}

/** As endedSince, by the server, once before the rows are looked for: filtering behind the index would read those of open ones. */
const endedNow = (open: readonly bigint[]): string =>
  `(select coalesce(array_agg(o.txid), '{}') from unnest('{${open.join(',')}}'::xid8[]) as o(txid)
     where not exists (select from pg_snapshot_xip(pg_current_snapshot()) as x(txid) where x.txid = o.txid))::xid8[]`

function copyPage(rowsOfWindow: string, page: Pick<WindowPage, 'rowsMax' | 'bytesMax'>): string {
  return `copy (
  select ${columns.map((name) => (name === 'headers' ? 'e.headers::text' : `e.${name}`)).join(', ')}
    from (select r.*, sum(coalesce(octet_length(r.payload), 0) + ${rowOverheadBytes}) over (order by r.seq rows between unbounded preceding and 1 preceding) as bytes_before
            from (${rowsOfWindow}
                   order by seq limit ${page.rowsMax}) r) e
   where coalesce(e.bytes_before, 0) < ${page.bytesMax}
   order by e.seq
) to stdout (format binary)`
}

function rows({ from, to, ended, after, condition }: WindowPage): string {
  const own = condition === '' ? '' : ` and ${condition}`
  const range = `txid >= '${from.xmax}' and txid < '${to.xmax}' and pg_visible_in_snapshot(txid, '${to.text}')`
  const members = ended.length === 0 ? '' : `txid = any ('{${ended.join(',')}}'::xid8[])`
  if (after > 0n || from.xmax <= 3n) {
    // Backlog: walk the seq indexes, merged over the slots, from where the last page ended.
    return `${select} where seq > ${after} and (${range}${members === '' ? '' : ` or ${members}`})${own}`
  }
  return live({ range, members, own })
}

/**
 * Two ranges of the txid index. `offset 0` keeps the planner from walking all of seq, in its order, as it would where it takes
 * `txid >= n` for a third of the table: 9 ms a read behind 60,000 published rows, and more with each.
 */
function live({ range, members, own }: { range: string; members: string; own: string }): string {
  const rest = members === '' ? '' : ` union all ${select} where ${members}${own}`
  return `select * from (${select} where ${range}${own}${rest} offset 0) w`
}

const select = `select ${columns.join(', ')} from outbox.events`

// A process that stands still in the middle of a read keeps its locks on the slots until then, and rotation from emptying them.
const standsStillMs = 10_000

/** Settings of a read, for its transaction only: statistics are always wrong after TRUNCATE, so the planner is led. */
export function readSettings(backlog: boolean): string {
  const settings = [
    'enable_seqscan = off',
    'jit = off',
    'max_parallel_workers_per_gather = 0',
    `idle_in_transaction_session_timeout = ${standsStillMs}`,
  ]
  if (backlog) settings.push('enable_sort = off', 'enable_bitmapscan = off')
  return settings.map((setting) => `set local ${setting};`).join(' ')
}
