import type { Client } from 'pg'
import { OutboxError } from '@oncebox/core'
import { bounded } from '../database-connections.js'
import type { WindowName } from '../position.js'
import {
  assertProven,
  selectProof,
  selectSnapshot,
  snapshotOf,
  type ProofRow,
  type SnapshotRow,
} from './anchor.js'
import { copyOut } from './copy-out.js'
import { CopyQuery } from './copy-query.js'
import { CopyRows } from './copy-rows.js'
import {
  countWalked,
  readFirstTransactions,
  readNextTransactions,
  readTransactionsUntilNow,
  transactionBytesMax,
  transactionEventsMax,
  type TransactionsBehind,
  type TransactionsPage,
} from './read-transactions.js'
import { readAnswer } from './live-answer.js'
import { columns, readLive, readSettings, readWindow } from './read-window.js'
import { endedSince, isEmptyWindow, type Snapshot } from './snapshot.js'

/** Where reading stands: at the start of the next window (`after` 0), or inside one. */
export interface Cursor {
  /** The window record that reading stands on. */
  readonly anchor: WindowName
  readonly from: Snapshot
  /** Set while a window is read in pages. */
  readonly to: Snapshot | undefined
  readonly after: bigint
  /** Inside a window that is published transaction by transaction: the last sequence number of the one that `after` is of. */
  readonly lastOfTransaction?: bigint | undefined
}

/** Rows of one window, or of a part of it, as they came from PostgreSQL. */
export interface Page {
  readonly rows: CopyRows
  readonly from: Snapshot
  readonly to: Snapshot
  /** By transactions, rows have one more column: {@link lastOfTransactionColumn}. */
  readonly order: 'seq' | 'transactions'
  /** Whether nothing of the window is left behind a page that has not reached its bounds. */
  readonly mayBeLast: boolean
  /** Bytes that PostgreSQL sent. */
  readonly bytes: number
  /** Members of the open list of `from` that were looked up: a measure of what a poll costs. */
  readonly endedCount: number
}

/** What a shard is published from. The one implementation is {@link WindowReader}; a test puts a naive cursor in its place. */
export interface PageReader {
  /** @param rowsMax At most so many rows, where that is fewer than a full page; more, to keep a transaction whole. */
  read(cursor: Cursor, rowsMax: number): Promise<Page | undefined>
}

export interface WindowReaderOptions {
  readonly shard: number
  readonly epoch: number
  readonly lifeToken: string
  /** Which rows are the shard's own, as SQL; empty for all. */
  readonly condition: string
  /** The same as arguments of outbox.read_live. */
  readonly selection: string
  readonly bytesMax: number
  readonly keepTransactionsWhole: boolean
}

// The first page over ten million rows is the longest read there is.
const readTimeoutMs = 300_000

// The header and the trailer of a binary COPY without rows.
const emptyCopyBytes = 21

// While a trickle is polled for, most polls ask for a snapshot only, at a fraction of the price; the proofs of an idle shard are not
// older than this.
const proofFreshMs = 20

// So many events are looked at for the end of a transaction, then more and more. A million of them, open at a time, are none that
// anybody waits for.
const walkMax = { first: 2_000, last: 1_024_000, factor: 8 }

/**
 * Reads windows: the rows visible in snapshot `to` and not in snapshot `from`. Each read is one transaction, which proves that
 * the server is the primary, still lives the same life, and knows the last record.
 */
export class WindowReader implements PageReader {
  readonly #client: Client
  readonly #options: WindowReaderOptions
  /** Up to here, the last live read has found nothing of this shard behind its cursor. */
  #emptyUpTo: Snapshot | undefined
  #provenMs = Number.NEGATIVE_INFINITY
  /** The last statement that was sent and not awaited. */
  #ending: Promise<unknown> = Promise.resolve()

  constructor(client: Client, options: WindowReaderOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * The next page at `cursor`; `rows` of a page may be none. Undefined when a fresh snapshot shows nothing new at all.
   * @throws OutboxError RELAY_LIFE_ENDED, RELAY_STANDBY_REFUSED; a driver error when the connection is lost.
   */
  async read(cursor: Cursor, rowsMax: number): Promise<Page | undefined> {
    const bounds = boundsOf(this.#options, rowsMax)
    // The driver takes one statement behind another, and no third. Of a failure hears who waits for the page.
    await this.#ending.catch(() => undefined)
    return await bounded(this.#client, readTimeoutMs, async () => await this.#read(cursor, bounds))
  }

  async #read(cursor: Cursor, bounds: PageBounds): Promise<Page | undefined> {
    if (cursor.to !== undefined || cursor.from.xmax <= 3n) return await this.#readBacklog(cursor, bounds)
    const isFresh = performance.now() - this.#provenMs < proofFreshMs
    const emptyUpTo = isFresh ? this.#emptyUpTo : undefined
    return this.#options.keepTransactionsWhole
      ? await this.#readWhole(cursor, bounds, emptyUpTo)
      : await this.#readLive(cursor, bounds, emptyUpTo)
  }

  /** Snapshot, proof and rows in one statement. */
  async #readLive(
    { from, anchor }: Cursor,
    bounds: PageBounds,
    emptyUpTo: Snapshot | undefined,
  ): Promise<Page | undefined> {
    const copy = new CopyQuery(
      `${beginReading}; ${readLive({ ...this.#options, ...bounds, from, window: anchor, emptyUpTo })}; commit`,
    )
    this.#client.query(copy)
    await copy.answered
    const { snapshot, proof, rows } = readAnswer(copy.bytes)
    const to = snapshotOf(snapshot)
    if (proof === undefined) return undefined
    return this.#livePage({ from, to, proof, rows, bytes: copy.bytes, order: 'seq' })
  }

  /** The same, transaction by transaction. */
  async #readWhole(
    { from, anchor }: Cursor,
    bounds: PageBounds,
    emptyUpTo: Snapshot | undefined,
  ): Promise<Page | undefined> {
    if (emptyUpTo !== undefined) {
      const { rows } = await this.#client.query<SnapshotRow>(selectSnapshot)
      // A hint: nothing is read, and nothing is built upon it. The relay's own records move the snapshot, too.
      if (isEmptyWindow(emptyUpTo, snapshotOf(rows[0]))) return undefined
    }
    const { condition } = this.#options
    const proves = selectProof({ ...this.#options, window: anchor })
    const reads = readTransactionsUntilNow({ ...bounds, from, condition })
    const copy = new CopyQuery(
      `${beginReading}; ${readSettings(false)} ${selectSnapshot}; ${proves}; ${reads}; commit`,
    )
    this.#client.query(copy)
    // Before COPY and COMMIT; their rows are of the columns they name.
    const [snapshot, proof] = (await copy.answered).slice(-4, -2).map(({ rows }) => rows[0])
    const rows = new CopyRows(copy.bytes, columns.length + 1)
    const to = snapshotOf(snapshot as SnapshotRow | undefined)
    const answer = { from, to, rows, bytes: copy.bytes, order: 'transactions' } as const
    return this.#livePage({ ...answer, proof: proof as ProofRow | undefined })
  }

  #livePage({ from, to, proof, rows, bytes, order }: LiveRead): Page | undefined {
    assertProven(proof, this.#options.epoch)
    this.#provenMs = performance.now()
    this.#emptyUpTo = rows.isEmpty ? to : undefined
    if (isEmptyWindow(from, to)) return undefined
    return this.#page({ from, to, rows, bytes, order, mayBeLast: true })
  }

  async #readBacklog(cursor: Cursor, bounds: PageBounds): Promise<Page | undefined> {
    const { from, to: until, after, anchor, lastOfTransaction } = cursor
    const { epoch, condition, keepTransactionsWhole } = this.#options
    const begin = `begin isolation level read committed read only; ${readSettings(true)} ${selectSnapshot}; ${selectProof({ ...this.#options, window: anchor })}`
    const results = (await this.#client.query(begin)) as unknown as readonly {
      readonly rows: readonly unknown[]
    }[]
    try {
      const now = snapshotOf(results.at(-2)?.rows[0] as SnapshotRow | undefined)
      assertProven(results.at(-1)?.rows[0] as ProofRow | undefined, epoch)
      const to = until ?? now
      if (isEmptyWindow(from, to)) return undefined
      const page = { ...bounds, from, to, ended: endedSince(from, to), after, condition }
      // As the window was begun, whatever is asked for now: what is left of it depends on that.
      if (after === 0n ? keepTransactionsWhole : lastOfTransaction !== undefined) {
        const read = await this.#readTransactions({ ...page, lastOfTransaction: lastOfTransaction ?? 0n })
        const rows = new CopyRows(read.bytes, columns.length + 1)
        return this.#page({ from, to, rows, order: 'transactions', ...read })
      }
      const bytes = await copyOut(this.#client, readWindow(page))
      const rows = new CopyRows(bytes, columns.length)
      return this.#page({ from, to, rows, bytes, order: 'seq', mayBeLast: true })
    } finally {
      // Not awaited on the way out: a lost connection shows in the next read.
      this.#ending = this.#client.query('commit')
      this.#ending.catch(() => undefined)
    }
  }

  /** @throws OutboxError RELAY_TRANSACTION_TOO_LARGE when none ends among so many events. */
  async #readTransactions(page: Omit<TransactionsBehind, 'walkMax'>): Promise<BacklogBytes> {
    const { from, after, rowsMax } = page
    if (after === 0n && from.xmax > 3n)
      return { bytes: await copyOut(this.#client, readFirstTransactions(page)), mayBeLast: true }
    for (let most = Math.max(walkMax.first, 2 * rowsMax); ; most *= walkMax.factor) {
      const behind = { ...page, walkMax: most }
      const bytes = await copyOut(this.#client, readNextTransactions(behind))
      if (bytes.length > emptyCopyBytes) return { bytes, mayBeLast: false }
      const { rows } = await this.#client.query<{ walked: number }>(countWalked(behind))
      if ((rows[0]?.walked ?? 0) < most) return { bytes, mayBeLast: true }
      if (most >= walkMax.last) throw noTransactionEnds(most, after)
    }
  }

  #page({ from, to, rows, bytes, order, mayBeLast }: ReadPage): Page {
    const endedCount = endedSince(from, to).length
    return { rows, from, to, order, mayBeLast, bytes: bytes.length, endedCount }
  }
}

const beginReading = 'begin isolation level repeatable read read only'

interface BacklogBytes {
  readonly bytes: Buffer
  readonly mayBeLast: boolean
}

interface ReadPage extends BacklogBytes, Pick<Page, 'from' | 'to' | 'rows' | 'order'> {}

interface LiveRead extends Omit<ReadPage, 'mayBeLast'> {
  readonly proof: ProofRow | undefined
}

type PageBounds = Pick<TransactionsPage, 'rowsMax' | 'bytesMax' | 'hardRowsMax' | 'hardBytesMax'>

/** A transaction passes the bounds of a page where it is to stay whole, and has bounds of its own. */
const boundsOf = ({ bytesMax, keepTransactionsWhole }: WindowReaderOptions, rowsMax: number): PageBounds => ({
  rowsMax,
  bytesMax,
  hardRowsMax: keepTransactionsWhole ? transactionEventsMax : rowsMax,
  hardBytesMax: keepTransactionsWhole ? transactionBytesMax : bytesMax,
})

const noTransactionEnds = (walked: number, after: bigint): OutboxError =>
  new OutboxError(
    'RELAY_TRANSACTION_TOO_LARGE',
    `no transaction ends among the next ${walked} events, and they are to be kept whole`,
    { details: { after: String(after), walked } },
  )
