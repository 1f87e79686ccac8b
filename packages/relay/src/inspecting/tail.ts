import type { Client, ClientConfig } from 'pg'
import { delay } from '@oncebox/core'
import { connectClient } from '../database-connections.js'
import { checkServer } from '../opening/database-state.js'
import { readSettings } from '../reading/read-window.js'
import { endedSince, isEmptyWindow, parseSnapshot, type Snapshot } from '../reading/snapshot.js'

/** A committed event, without its payload. */
export interface TailedEvent {
  readonly seq: string
  readonly id: string
  readonly source: string
  readonly topic: string
  readonly type: string
  readonly key: string | null
  readonly occurredAt: string
  /** Null for a tombstone. */
  readonly payloadBytes: number | null
}

export interface TailOptions {
  readonly signal: AbortSignal
  /** Only events of these topics; all when there is none. */
  readonly topics?: readonly string[]
}

const pollMs = 200
const pageRows = 1_000

/**
 * The events that commit from now on, as they commit: by snapshot windows, so that an event of a long transaction comes when
 * that commits, and none is missed. It keeps its place in memory only: a lost connection ends it with an error.
 *
 * @throws OutboxError OUTBOX_SCHEMA_MISSING, RELAY_STANDBY_REFUSED; a driver error
 */
export async function* tailEvents(
  db: ClientConfig,
  { signal, topics = [] }: TailOptions,
): AsyncGenerator<TailedEvent, void, undefined> {
  const client = await connectClient(db, 'oncebox tail')
  try {
    await checkServer(client)
    let from = await currentSnapshot(client)
    while (!signal.aborted) {
      await delay(pollMs, signal).catch(() => undefined)
      const to = await currentSnapshot(client)
      if (isEmptyWindow(from, to)) continue
      yield* eventsOf(client, { from, to, topics })
      from = to
    }
  } finally {
    await client.end()
  }
}

async function currentSnapshot(client: Client): Promise<Snapshot> {
  const { rows } = await client.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot')
  return parseSnapshot(rows[0]?.snapshot ?? '')
}

interface TailedWindow {
  readonly from: Snapshot
  readonly to: Snapshot
  readonly topics: readonly string[]
}

async function* eventsOf(client: Client, window: TailedWindow): AsyncGenerator<TailedEvent> {
  for (let after = '0'; ;) {
    const page = await readPage(client, window, after)
    yield* page
    after = page.at(-1)?.seq ?? after
    if (page.length < pageRows) return
  }
}

async function readPage(
  client: Client,
  { from, to, topics }: TailedWindow,
  after: string,
): Promise<readonly TailedEvent[]> {
  await client.query(`begin isolation level read committed read only; ${readSettings(false)}`)
  try {
    const { rows } = await client.query<TailedEvent>(selectTailed(from, to), [after, topics])
    return rows
  } finally {
    await client.query('commit')
  }
}

// As readWindow: rows visible in `to` and not in `from`, by the index on txid; `offset 0` keeps the planner from walking all of
// seq instead. Ordered by the column itself: by its text, 10 would come before 9.
const selectTailed = (from: Snapshot, to: Snapshot): string => `
select e.seq::text as "seq", e.id, e.source, e.topic, e.type, e.key,
       case when isfinite(e.occurred_at) then to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
            else e.occurred_at::text end as "occurredAt",
       e.bytes as "payloadBytes"
  from (select seq, id, source, topic, type, key, occurred_at, octet_length(payload) as bytes
          from outbox.events e
         where (e.txid >= '${from.xmax}' and e.txid < '${to.xmax}' and pg_visible_in_snapshot(e.txid, '${to.text}')
                or e.txid = any ('{${endedSince(from, to).join(',')}}'::xid8[]))
           and e.seq > $1 and (cardinality($2::text[]) = 0 or e.topic = any ($2))
        offset 0) e
 order by e.seq
 limit ${pageRows}`
