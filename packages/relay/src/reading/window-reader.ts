import type { Client } from 'pg'
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
import { columns, readSettings, readWindow, readWindowUntilNow } from './read-window.js'
import { endedSince, isEmptyWindow, type Snapshot } from './snapshot.js'

/** Where reading stands: at the start of the next window (`after` 0), or inside one. */
export interface Cursor {
  /** The window record that reading stands on. */
  readonly anchor: WindowName
  readonly from: Snapshot
  /** Set while a window is read in pages. */
  readonly to: Snapshot | undefined
  readonly after: bigint
}

/** Rows of one window, or of a part of it, as they came from PostgreSQL. */
export interface Page {
  readonly rows: CopyRows
  readonly from: Snapshot
  readonly to: Snapshot
  /** Bytes that PostgreSQL sent. */
  readonly bytes: number
  /** Members of the open list of `from` that were looked up: a measure of what a poll costs. */
  readonly endedCount: number
  /**
   * Resolves when what the read stands on is proven. The rows may be produced before, and their window recorded, but they are not
   * committed, and nothing is read behind them. Rejects with RELAY_LIFE_ENDED or RELAY_FENCED.
   */
  readonly proven: Promise<void>
}

/** What a shard is published from. The one implementation is {@link WindowReader}; a test puts a naive cursor in its place. */
export interface PageReader {
  /** @param rowsMax At most so many rows, where that is fewer than a full page. */
  read(cursor: Cursor, rowsMax: number): Promise<Page | undefined>
}

export interface WindowReaderOptions {
  readonly shard: number
  readonly epoch: number
  readonly lifeToken: string
  /** Which rows are the shard's own, as SQL; empty for all. */
  readonly condition: string
  readonly bytesMax: number
}

// The first page over ten million rows is the longest read there is.
const readTimeoutMs = 300_000

// The header and the trailer of a binary COPY without rows.
const emptyCopyBytes = 21

// While a trickle is polled for, most polls ask for a snapshot only, at a tenth of the price; the proofs of an idle shard are not
// older than this.
const proofFreshMs = 20

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

  constructor(client: Client, options: WindowReaderOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * The next page at `cursor`; `rows` of a page may be none. Undefined when a fresh snapshot shows nothing new at all.
   * @throws OutboxError RELAY_LIFE_ENDED, RELAY_STANDBY_REFUSED; a driver error when the connection is lost.
   */
  async read(cursor: Cursor, rowsMax: number): Promise<Page | undefined> {
    return await bounded(this.#client, readTimeoutMs, async () => await this.#read(cursor, rowsMax))
  }

  async #read(cursor: Cursor, rowsMax: number): Promise<Page | undefined> {
    if (cursor.to !== undefined || cursor.from.xmax <= 3n) return await this.#readBacklog(cursor, rowsMax)
    if (this.#emptyUpTo !== undefined && performance.now() - this.#provenMs < proofFreshMs) {
      const { rows } = await this.#client.query<SnapshotRow>(selectSnapshot)
      // A hint: nothing is read, and nothing is built upon it. The relay's own records move the snapshot, too.
      if (isEmptyWindow(this.#emptyUpTo, snapshotOf(rows[0]))) return undefined
    }
    return await this.#readLive(cursor, rowsMax)
  }

  /** Snapshot and rows in one round trip, the proof in the next, while the rows are encoded and sent. */
  async #readLive({ from, anchor }: Cursor, rowsMax: number): Promise<Page | undefined> {
    const { bytesMax, condition } = this.#options
    const copy = new CopyQuery(
      `begin isolation level repeatable read read only; ${readSettings(false)} ${selectSnapshot}; ${readWindowUntilNow({ from, rowsMax, bytesMax, condition })}`,
    )
    this.#client.query(copy)
    const proven = this.#prove(anchor)
    proven.catch(() => undefined) // awaited here, or by whoever publishes the page
    // The last but one statement of this round trip; its rows are of the columns it names.
    const row = (await copy.answered).at(-2)?.rows[0] as SnapshotRow | undefined
    const to = snapshotOf(row)
    this.#emptyUpTo = copy.bytes.length <= emptyCopyBytes ? to : undefined
    if (isEmptyWindow(from, to)) {
      await proven
      return undefined
    }
    return this.#page({ from, to, bytes: copy.bytes, proven })
  }

  /** Ends the transaction of the read. */
  async #prove(window: WindowName): Promise<void> {
    const proof = `${selectProof({ ...this.#options, window })}; commit`
    // A query of several statements answers a list of results; the driver's types know only one.
    const results = (await bounded(
      this.#client,
      readTimeoutMs,
      async () => await this.#client.query(proof),
    )) as unknown as readonly { readonly rows: readonly ProofRow[] }[]
    assertProven(results[0]?.rows[0], this.#options.epoch)
    this.#provenMs = performance.now()
  }

  async #readBacklog({ from, to: until, after, anchor }: Cursor, rowsMax: number): Promise<Page | undefined> {
    const { epoch, condition, bytesMax } = this.#options
    const begin = `begin isolation level read committed read only; ${readSettings(true)} ${selectSnapshot}; ${selectProof({ ...this.#options, window: anchor })}`
    const results = (await this.#client.query(begin)) as unknown as readonly {
      readonly rows: readonly unknown[]
    }[]
    try {
      const now = snapshotOf(results.at(-2)?.rows[0] as SnapshotRow | undefined)
      assertProven(results.at(-1)?.rows[0] as ProofRow | undefined, epoch)
      const to = until ?? now
      if (isEmptyWindow(from, to)) return undefined
      const ended = endedSince(from, to)
      const bytes = await copyOut(
        this.#client,
        readWindow({ from, to, ended, after, rowsMax, bytesMax, condition }),
      )
      return this.#page({ from, to, bytes, proven: Promise.resolve() })
    } finally {
      // Not awaited on the way out: the driver queues the next statement behind it, and a lost connection shows there.
      this.#client.query('commit').catch(() => undefined)
    }
  }

  #page({
    from,
    to,
    bytes,
    proven,
  }: Pick<Page, 'from' | 'to' | 'proven'> & { readonly bytes: Buffer }): Page {
    return {
      rows: new CopyRows(bytes, columns.length),
      from,
      to,
      bytes: bytes.length,
      endedCount: endedSince(from, to).length,
      proven,
    }
  }
}
