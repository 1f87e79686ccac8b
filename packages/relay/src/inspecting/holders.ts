import type { Client } from 'pg'
import { redactQuery } from './redact-query.js'

/**
 * A transaction that has emitted and not ended: its events wait for its commit, and nobody else's do. A transaction that
 * has only read, or written elsewhere, holds nothing back, however long it stays open.
 */
export interface Holder {
  readonly kind: 'transaction' | 'prepared'
  /** Of the backend; undefined for a prepared transaction, which has none. */
  readonly pid?: number
  /** Of a prepared transaction: what to COMMIT PREPARED or ROLLBACK PREPARED. */
  readonly gid?: string
  /** Undefined when this role may not see it: grant it pg_read_all_stats. */
  readonly ageMs?: number
  readonly user?: string
  readonly application?: string
  /** Of the backend: `active`, `idle in transaction` and so on. */
  readonly state?: string
  /** The statement that it runs or ran last, without its values, 200 characters at most. */
  readonly query?: string
}

interface HolderRow {
  readonly pid: number | null
  readonly gid: string | null
  readonly age_ms: number | null
  readonly usename: string | null
  readonly application_name: string | null
  readonly state: string | null
  readonly query: string | null
}

const holdersMax = 20

// Whoever has inserted into a partition of outbox.events holds ROW EXCLUSIVE on it until its transaction ends, prepared ones
// too; and EXCLUSIVE on its own transaction id, which is what names a prepared one. pg_locks and pg_prepared_xacts are open to everybody, pg_stat_activity only in part. Takes the lock manager's own
// locks for a moment and none on a table; not a statement for every second.
const readLocks = `
with held as (
  select distinct l.pid, l.virtualtransaction
    from pg_locks l
    join pg_database d on d.oid = l.database and d.datname = current_database()
   where l.locktype = 'relation' and l.granted and l.mode = 'RowExclusiveLock'
     and (l.relation = 'outbox.events'::regclass
          or l.relation in (select inhrelid from pg_inherits where inhparent = 'outbox.events'::regclass))
)
select h.pid, p.gid,
       (extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000)::float8 as age_ms,
       coalesce(a.usename, p.owner) as usename, nullif(a.application_name, '') as application_name, a.state, a.query
  from held h
  left join pg_stat_activity a on a.pid = h.pid
  left join pg_locks x on h.pid is null and x.pid is null and x.locktype = 'transactionid' and x.mode = 'ExclusiveLock'
        and x.virtualtransaction = h.virtualtransaction
  left join pg_prepared_xacts p on p.transaction = x.transactionid
 order by age_ms desc nulls last
 limit ${holdersMax}`

/** The oldest first, twenty at most. */
export async function readHolders(client: Client): Promise<readonly Holder[]> {
  const { rows } = await client.query<HolderRow>(readLocks)
  return rows.map(({ pid, gid, age_ms, usename, application_name, state, query }) => ({
    kind: pid === null ? 'prepared' : 'transaction',
    ...(pid !== null && { pid }),
    ...(gid !== null && { gid }),
    ...(age_ms !== null && { ageMs: Math.max(0, Math.round(age_ms)) }),
    ...(usename !== null && { user: usename }),
    ...(application_name !== null && { application: application_name }),
    ...(state !== null && { state }),
    // What PostgreSQL says in place of a statement that this role may not see.
    ...(query !== null &&
      query !== '' &&
      query !== '<insufficient privilege>' && { query: redactQuery(query) }),
  }))
}
