import { columns, liveRows, rowOverheadBytes, rowsOfWindow, selectedColumns } from './read-window.js'
import type { Snapshot } from './snapshot.js'

/**
 * Pages of a window that is published transaction by transaction, in the order of the last events that the transactions have
 * in the shard. A transaction that emits after it saw another's commit ends behind it, so the order of keys is kept as it is
 * by sequence numbers; and unlike those, transactions that overlap can be cut apart everywhere between two of them.
 */

/** Index of the column that a page of these has behind the others: the last sequence number of the row's transaction. */
export const lastOfTransactionColumn = columns.length

/** What one transaction may have, to stay whole: it is in memory, and in one Kafka transaction. */
export const transactionEventsMax = 50_000
export const transactionBytesMax = 64_000_000

export interface TransactionsPage {
  readonly from: Snapshot
  /** A page ends with the first transaction that passes one of these. */
  readonly rowsMax: number
  readonly bytesMax: number
  /** Where rows are cut off, in the middle of a transaction if need be. */
  readonly hardRowsMax: number
  readonly hardBytesMax: number
  readonly condition: string
}

export interface TransactionsBehind extends TransactionsPage {
  readonly to: Snapshot
  /** Members of from's open list that have ended in `to`. */
  readonly ended: readonly bigint[]
  /** The last event that is published, and the last of its transaction; 0 for the first page. */
  readonly after: bigint
  readonly lastOfTransaction: bigint
  /** So many events are looked at for the ends of transactions. */
  readonly walkMax: number
}

/** As readLive: everything that is visible in its transaction, which must be REPEATABLE READ. */
export function readTransactionsUntilNow(page: TransactionsPage): string {
  return copyTransactions('', totals(`from (${liveRows(page, 'seq, txid, payload')}) w`), '', page)
}

/** Of a window whose snapshot is known, from its beginning: all of its transactions are added up. */
export function readFirstTransactions(page: Omit<TransactionsBehind, 'walkMax'>): string {
  return copyTransactions('', totals(`from (${rowsOfWindow(page, 'seq, txid, payload')}) w`), '', page)
}

/**
 * Behind the last transaction that was published: those that end among the next events. What else they have lies before.
 * Whether there is none, or their ends were not reached, {@link countWalked} tells.
 */
export function readNextTransactions(page: TransactionsBehind): string {
  const own = page.condition === '' ? '' : ` and ${page.condition}`
  const walk = `with walk as materialized (${walkOf(page)}) `
  const ending = totals(
    `from outbox.events w where w.txid = any (array(select distinct txid from walk))${own}`,
    'having max(w.seq) <= (select max(seq) from walk)',
  )
  return copyTransactions(
    walk,
    ending,
    `where p.last > ${page.lastOfTransaction} or e.seq > ${page.after}`,
    page,
  )
}

/** How many events {@link readNextTransactions} looks at: `walkMax` means that there may be more. */
export const countWalked = (page: TransactionsBehind): string =>
  `select count(*)::int as walked from (${walkOf(page)}) walk`

/** From the end of the last transaction on; on that end when the transaction itself has more to publish. */
function walkOf(page: TransactionsBehind): string {
  const { after, lastOfTransaction, walkMax } = page
  const behind = after < lastOfTransaction ? lastOfTransaction - 1n : lastOfTransaction
  return `${rowsOfWindow({ ...page, after: behind, walks: true }, 'seq, txid')} order by seq limit ${walkMax}`
}

const bytesOfRow = (alias: string): string =>
  `coalesce(octet_length(${alias}.payload), 0) + ${rowOverheadBytes}`

const totals = (rows: string, having = ''): string =>
  `select w.txid, max(w.seq) as last, count(*) as events, sum(${bytesOfRow('w')}) as bytes ${rows} group by w.txid ${having}`

/**
 * `offset 0` keeps the rows of each transaction an index range of its own: statistics are always wrong after TRUNCATE.
 */
function copyTransactions(
  walk: string,
  transactions: string,
  unpublished: string,
  { rowsMax, bytesMax, hardRowsMax, hardBytesMax, condition }: TransactionsPage,
): string {
  const own = condition === '' ? '' : ` and ${condition}`
  return `copy (
  ${walk}select ${selectedColumns('e')}, e.last
    from (select r.*, sum(${bytesOfRow('r')}) over (order by r.last, r.seq rows between unbounded preceding and 1 preceding) as bytes_before
            from (select e.*, p.last
                    from (select t.txid, t.last
                            from (select t.*, sum(t.events) over before as events_before, sum(t.bytes) over before as bytes_before
                                    from (${transactions}) t
                                  window before as (order by t.last rows between unbounded preceding and 1 preceding)) t
                           where coalesce(t.events_before, 0) < ${rowsMax} and coalesce(t.bytes_before, 0) < ${bytesMax}) p
                   cross join lateral (select ${columns.join(', ')} from outbox.events where txid = p.txid${own} offset 0) e
                   ${unpublished}
                   order by p.last, e.seq limit ${hardRowsMax}) r) e
   where coalesce(e.bytes_before, 0) < ${hardBytesMax}
   order by e.last, e.seq
) to stdout (format binary)`
}
