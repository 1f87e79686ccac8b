import type { Client } from 'pg'
import { endedSince, type Snapshot } from '../reading/snapshot.js'
import { readSettings } from '../reading/read-window.js'

/** What a shard has committed and not published. */
export interface Backlog {
  /** {@link backlogEventsMax} means so many or more: nobody counts ten million rows to draw a line. */
  readonly events: number
  /** Age of the oldest by its `occurred_at`, milliseconds; 0 when there is none. */
  readonly oldestMs: number
}

/** Where a shard's publishing stands, and which rows are its own. */
export interface Unpublished {
  readonly from: Snapshot
  /**
   * Set inside a window, whose events up to `after` are published. Where it is published transaction by transaction, some of
   * them are not: they count when the last of their transaction does, so it is never nothing while something is left.
   */
  readonly to: Snapshot | undefined
  readonly after: bigint
  /** As SQL; empty for all. */
  readonly condition: string
}

export const backlogEventsMax = 100_000
const statementTimeoutMs = 2_000

interface BacklogRow {
  readonly events: number
  readonly oldest_ms: number
}

/**
 * Undefined when it could not be told within two seconds.
 * @throws a driver error when the connection is lost
 */
export async function readBacklog(client: Client, unpublished: Unpublished): Promise<Backlog | undefined> {
  await client.query(
    `begin isolation level read committed read only; ${readSettings(true)} set local statement_timeout = ${statementTimeoutMs}`,
  )
  try {
    const { rows } = await client.query<BacklogRow>(countBacklog(unpublished))
    const { events = 0, oldest_ms: oldestMs = 0 } = rows[0] ?? {}
    return { events, oldestMs: Math.max(0, oldestMs) }
  } catch (error) {
    if (isTimeout(error)) return undefined
    throw error
  } finally {
    await client.query('rollback')
  }
}

const isTimeout = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === '57014'

// An event dated infinity has no age. Each part is an index range, as in readWindow, and ends when enough are counted. What
// this statement sees is committed; it proves nothing about the server, so nothing may be published by it.
const countBacklog = (unpublished: Unpublished): string => `
select count(*)::int as events,
       coalesce(extract(epoch from clock_timestamp() - min(occurred_at) filter (where isfinite(occurred_at))) * 1000, 0)::float8 as oldest_ms
  from (select occurred_at from (${partsOf(unpublished).join(' union all ')}) parts limit ${backlogEventsMax}) few`

function partsOf({ from, to, after, condition }: Unpublished): readonly string[] {
  const own = condition === '' ? '' : ` and ${condition}`
  const behind = to ?? from
  const select = 'select occurred_at from outbox.events where'
  const parts = [`${select} txid >= '${behind.xmax}'${own}`]
  if (behind.open.length > 0) parts.push(`${select} txid = any ('{${behind.open.join(',')}}'::xid8[])${own}`)
  if (to === undefined) return parts
  const ended = endedSince(from, to)
  const members = ended.length === 0 ? '' : ` or txid = any ('{${ended.join(',')}}'::xid8[])`
  const range = `txid >= '${from.xmax}' and txid < '${to.xmax}' and pg_visible_in_snapshot(txid, '${to.text}')`
  const rest = `${select} seq > ${after} and (${range}${members})${own} order by seq limit ${backlogEventsMax}`
  return [`(${rest})`, ...parts]
}
