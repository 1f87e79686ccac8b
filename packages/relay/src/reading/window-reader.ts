import type { Client } from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { bounded } from '../database-connections.js'
import type { WindowName } from '../position.js'
import { assertAnchored, takeSnapshot, type AnchorRow } from './anchor.js'
import { columns, readSettings, readWindow } from './read-window.js'
import { CopyRows } from './copy-rows.js'
import { endedSince, isEmptyWindow, parseSnapshot, type Snapshot } from './snapshot.js'

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
}

/** What a shard is published from. The one implementation is {@link WindowReader}; a test puts a naive cursor in its place. */
export interface PageReader {
  read(cursor: Cursor): Promise<Page | undefined>
}

export interface WindowReaderOptions {
  readonly shard: number
  readonly epoch: number
  readonly lifeToken: string
  /** Which rows are the shard's own, as SQL; empty for all. */
  readonly condition: string
  readonly rowsMax: number
  readonly bytesMax: number
}

// The first page over ten million rows is the longest read there is.
const readTimeoutMs = 300_000

/**
 * Reads windows: the rows visible in snapshot `to` and not in snapshot `from`. Each read is one READ COMMITTED
 * transaction, which first proves that the server is the primary, still lives the same life, and knows the last record.
 */
export class WindowReader implements PageReader {
  readonly #client: Client
  readonly #options: WindowReaderOptions

  constructor(client: Client, options: WindowReaderOptions) {
    this.#client = client
    this.#options = options
  }

  /**
   * The next page at `cursor`; `rows` of a page may be none. Undefined when a fresh snapshot shows nothing new at all.
   * @throws OutboxError RELAY_LIFE_ENDED, RELAY_STANDBY_REFUSED; a driver error when the connection is lost.
   */
  async read(cursor: Cursor): Promise<Page | undefined> {
    return await bounded(this.#client, readTimeoutMs, async () => await this.#read(cursor))
  }

  async #read(cursor: Cursor): Promise<Page | undefined> {
    const { shard, epoch, lifeToken, condition, rowsMax, bytesMax } = this.#options
    const backlog = cursor.to !== undefined || cursor.from.xmax <= 3n
    const begin = `begin isolation level read committed read only; ${readSettings(backlog)} ${takeSnapshot({ shard, epoch, lifeToken, window: cursor.anchor })}`
    // A query of several statements answers a list of results; the driver's types know only one.
    const results = (await this.#client.query(begin)) as unknown as readonly {
      readonly rows: readonly AnchorRow[]
    }[]
    try {
      const row = results.at(-1)?.rows[0]
      assertAnchored(row, epoch)
      const to = cursor.to ?? parseSnapshot(row.snapshot)
      if (isEmptyWindow(cursor.from, to)) return undefined
      const ended = endedSince(cursor.from, to)
      const bytes = await this.#copy(
        readWindow({ from: cursor.from, to, ended, after: cursor.after, rowsMax, bytesMax, condition }),
      )
      return {
        rows: new CopyRows(bytes, columns.length),
        from: cursor.from,
        to,
        bytes: bytes.length,
        endedCount: ended.length,
      }
    } finally {
      // Not awaited on the way out: the driver queues the next statement behind it, and a lost connection shows there.
      this.#client.query('commit').catch(() => undefined)
    }
  }

  async #copy(sql: string): Promise<Buffer> {
    const chunks: Buffer[] = []
    // The stream of pg-copy-streams yields Buffers unless an encoding is set.
    for await (const chunk of this.#client.query(copyTo(sql)) as AsyncIterable<Buffer>) chunks.push(chunk)
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
  }
}
