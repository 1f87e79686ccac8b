import type { Client } from 'pg'
import { copyOut } from '../reading/copy-out.js'
import { CopyRows } from '../reading/copy-rows.js'
import { plannerSettings } from '../reading/read-window.js'
import type { Snapshot } from '../reading/snapshot.js'
import { Names } from './names.js'
import { writeRow } from './row-entry.js'
import { sourceHash } from './source-hash.js'
import { partOf, type Spill } from './spill.js'

/** Which rows are compared; all unless said otherwise. */
export interface RowScope {
  readonly topics?: readonly string[]
  /** Milliseconds since 1970: rows whose `occurred_at` is not before it. */
  readonly sinceMs?: number
}

/** What a scan of the rows has found beside the rows. */
export interface ScannedRows {
  readonly topics: Names
  /** Sources as {@link sourceHash} names them, in latin1. */
  readonly sources: Set<string>
  /**
   * Transactions that wrote rows of several other transactions: a restore did, and nothing else does. A savepoint too
   * lets a row's writer differ from its `txid`, but it writes for one transaction.
   */
  readonly copiers: Set<bigint>
  lowestSeq: bigint | undefined
  highestSeq: bigint
}

export const noRows = (): ScannedRows => ({
  topics: new Names(),
  sources: new Set(),
  copiers: new Set(),
  lowestSeq: undefined,
  highestSeq: 0n,
})

export interface ScanRowsRequest {
  /** In a REPEATABLE READ transaction whose snapshot is `at`. */
  readonly client: Client
  readonly at: Snapshot
  readonly scope: RowScope
  readonly rows: Spill
  readonly onPage: (rows: number) => void
  readonly signal: AbortSignal
}

const slots = [1, 2, 3] as const
const pageRows = 20_000
const fields = 11

/**
 * Reads every row of the outbox once, in pages, slot by slot in the order of `seq`, into `rows`. The index on seq leads,
 * which is unique in a slot: across slots a restored table may repeat a number.
 */
export async function scanRows(request: ScanRowsRequest, found: ScannedRows): Promise<void> {
  const { client, signal } = request
  await client.query(plannerSettings(true))
  const { rows: next } = await client.query<{ xmax: string }>(
    'select pg_snapshot_xmax(pg_current_snapshot()) as xmax',
  )
  const scan = new RowScan(request, found, BigInt(next[0]?.xmax ?? request.at.xmax), false)
  for (const slot of slots) {
    for (let after: bigint | undefined = -1n; after !== undefined;) {
      signal.throwIfAborted()
      after = await scan.page(`slot = ${slot} and seq > ${after}${scopeCondition(request.scope)}`)
    }
  }
}

/**
 * The rows that were committed after the snapshot `at`, into the same spill, marked as late: a record that a running
 * relay has published meanwhile is no phantom. Index on txid.
 */
export async function scanLateRows(request: ScanRowsRequest, found: ScannedRows): Promise<void> {
  const { at, signal } = request
  const open = at.open.length === 0 ? '' : ` or txid = any ('{${at.open.join(',')}}'::xid8[])`
  const late = `(txid >= '${at.xmax}'${open}) and not pg_visible_in_snapshot(txid, '${at.text}')`
  const scan = new RowScan(request, found, at.xmax, true)
  for (let after: bigint | undefined = -1n; after !== undefined;) {
    signal.throwIfAborted()
    after = await scan.page(`${late} and seq > ${after}${scopeCondition(request.scope)}`)
  }
}

class RowScan {
  readonly #request: ScanRowsRequest
  readonly #found: ScannedRows
  /** The next transaction id: what a row's 32 bits of xmin are completed by. */
  readonly #next: bigint
  readonly #late: boolean
  #last: { readonly writtenBy: bigint; readonly txid: bigint } | undefined

  constructor(request: ScanRowsRequest, found: ScannedRows, next: bigint, late: boolean) {
    this.#request = request
    this.#found = found
    this.#next = next
    this.#late = late
  }

  /** @returns The last sequence number of the page; undefined when it is the last page. */
  async page(condition: string): Promise<bigint | undefined> {
    const { client, rows, onPage } = this.#request
    const page = new CopyRows(await copyOut(client, selectRows(condition)), fields)
    let count = 0
    let last = 0n
    while (page.next()) {
      last = this.#add(page)
      count++
    }
    await rows.written()
    onPage(count)
    return count < pageRows ? undefined : last
  }

  #add({ bytes, starts, ends }: CopyRows): bigint {
    const field = (index: number): Buffer => bytes.subarray(starts[index], ends[index])
    const isNull = (index: number): boolean => (starts[index] ?? -1) < 0
    const { topics, sources, copiers } = this.#found
    const source = sourceHash(field(4))
    sources.add(source.toString('latin1'))
    const txid = field(1).readBigUInt64BE()
    const writtenBy = fullXid(field(2).readUInt32BE(), this.#next)
    if (writtenBy !== txid) {
      if (this.#last?.writtenBy === writtenBy && this.#last.txid !== txid) copiers.add(writtenBy)
      this.#last = { writtenBy, txid }
    }
    const id = field(3)
    const seq = field(0).readBigInt64BE()
    const { lowestSeq, highestSeq } = this.#found
    if (lowestSeq === undefined || seq < lowestSeq) this.#found.lowestSeq = seq
    if (seq > highestSeq) this.#found.highestSeq = seq
    const name = Buffer.concat([id, source])
    writeRow(this.#request.rows.add(partOf(name)), {
      id,
      source,
      topic: topics.numberOf(field(5).toString('utf8')),
      bucket: field(8).readInt16BE(),
      isDeadLetter: field(10)[0] === 1,
      isLate: this.#late,
      key: isNull(6) ? undefined : field(6),
      partition: isNull(7) ? undefined : field(7).readInt32BE(),
      seq,
      txid,
      writtenBy,
      payloadBytes: isNull(9) ? 0 : field(9).readInt32BE(),
    })
    return seq
  }
}

const selectRows = (condition: string): string => `copy (
  select e.seq, e.txid, e.xmin, e.id, e.source, e.topic, e.key, e.partition, e.bucket, octet_length(e.payload),
         exists (select from outbox.dead_letters d where d.source = e.source and d.id = e.id)
    from outbox.events e
   where ${condition}
   order by e.seq limit ${pageRows}
) to stdout (format binary)`

/** Literals, since COPY takes no parameters. */
function scopeCondition({ topics, sinceMs }: RowScope): string {
  const conditions: string[] = []
  if (topics !== undefined)
    conditions.push(
      `topic = any (array[${topics.map((topic) => `convert_from(decode('${Buffer.from(topic).toString('hex')}', 'hex'), 'UTF8')`).join(', ')}]::text[])`,
    )
  if (sinceMs !== undefined) conditions.push(`occurred_at >= to_timestamp(${sinceMs} / 1000.0)`)
  return conditions.map((condition) => ` and ${condition}`).join('')
}

/** A system column shows the lower half of a transaction id; the row was written in the past. */
function fullXid(low: number, next: bigint): bigint {
  const full = (next & ~0xffff_ffffn) | BigInt(low)
  return full < next || next < 0x1_0000_0000n ? full : full - 0x1_0000_0000n
}
