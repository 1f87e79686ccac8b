import type { Client } from 'pg'
import { failure, ok, warning, type Finding } from './finding.js'

interface DatabaseRow {
  readonly role: string
  readonly missing: readonly string[]
  readonly cache: string
  readonly unlogged: readonly string[]
  readonly logged: readonly string[]
  readonly subscribed: readonly string[]
  readonly prepared: readonly string[]
  readonly fsync: string
  readonly full_page_writes: string
  readonly synchronous_commit: string
  readonly now_ms: number
}

// Catalogs only, which every role may read. What a relay needs is what outbox.grant_relay() gives: SELECT on all there is.
const look = `
with tables(name, verb) as (
  select c.relname, 'select' from pg_class c
   where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p', 'v')
  union all
  select t, 'insert' from unnest(array['windows', 'heartbeats', 'claims', 'releases', 'reshards', 'initialised', 'life']) t
), functions(name) as (
  select unnest(array['rotate', 'confirmed', 'set_aside', 'settle_dead_letters', 'note_replay', 'read_live'])
), kept as (
  select c.oid, c.relname, c.relpersistence from pg_class c
   where c.relnamespace = 'outbox'::regnamespace and c.relkind in ('r', 'p')
)
select current_user as role,
       array(select verb || ' on outbox.' || name from tables
              where not coalesce(has_table_privilege(to_regclass('outbox.' || name), verb), false)
             union all
             select 'execute on outbox.' || f.name from functions f
              where not exists (select from pg_proc p where p.pronamespace = 'outbox'::regnamespace and p.proname = f.name
                                   and has_function_privilege(p.oid, 'execute'))
             union all
             select 'select on outbox.' || s from unnest(array['slot', 'window_slot', 'heartbeat_slot']) s
              where not has_sequence_privilege('outbox.' || s, 'select')
             order by 1) as missing,
       (select seqcache::text from pg_sequence where seqrelid = 'outbox.events_seq'::regclass) as cache,
       array(select relname::text from kept where relname ~ '^(events|windows)_' and relpersistence <> 'p') as unlogged,
       array(select relname::text from kept where relname = 'life' and relpersistence <> 'u') as logged,
       array(select k.relname::text from pg_subscription_rel r join kept k on k.oid = r.srrelid) as subscribed,
       array(select gid::text from pg_prepared_xacts
              where database = current_database() and prepared < clock_timestamp() - interval '1 hour') as prepared,
       current_setting('fsync') as fsync,
       current_setting('full_page_writes') as full_page_writes,
       current_setting('synchronous_commit') as synchronous_commit,
       extract(epoch from clock_timestamp())::float8 * 1000 as now_ms`

const clockSkewMsMax = 1_000

/** What the promises need of the database, as the role that looks sees it. */
export async function examineDatabase(client: Client): Promise<readonly Finding[]> {
  const askedMs = Date.now()
  const { rows } = await client.query<DatabaseRow>(look)
  const answeredMs = Date.now()
  const [row] = rows
  if (row === undefined) return [failure('database', 'the database answered nothing')]
  return [
    privileges(row),
    row.cache === '1'
      ? ok('database.sequence', 'sequence events_seq hands out numbers one by one')
      : failure(
          'database.sequence',
          `sequence events_seq has cache ${row.cache}: numbers do not follow the order in which transactions emit`,
          'alter sequence outbox.events_seq cache 1;',
        ),
    row.unlogged.length === 0
      ? ok('database.logged', 'events and window records are in logged tables')
      : failure(
          'database.logged',
          `a crash empties ${row.unlogged.join(', ')}: they are unlogged`,
          row.unlogged.map((name) => `alter table outbox.${name} set logged;`).join(' '),
        ),
    row.logged.length === 0
      ? ok('database.life', 'the life token vanishes in a crash')
      : warning(
          'database.life',
          'outbox.life is a logged table, as some managed servers make it: a crash is noticed by the window records alone',
          'alter table outbox.life set unlogged;',
        ),
    row.subscribed.length === 0
      ? ok('database.replication', 'no subscription writes into the outbox')
      : failure(
          'database.replication',
          `a logical replication subscription writes into ${row.subscribed.join(', ')}: copied rows have transaction ids of another server`,
          'take schema outbox out of the publication, or drop the subscription',
        ),
    prepared(row),
    durability(row),
    clock(row.now_ms, askedMs, answeredMs),
  ]
}

function privileges({ role, missing }: DatabaseRow): Finding {
  if (missing.length === 0) return ok('database.privileges', `role ${role} may do what a relay does`)
  return failure(
    'database.privileges',
    `role ${role} lacks ${missing.join(', ')}`,
    `select outbox.grant_relay('${role.replaceAll("'", "''")}'); -- as the owner of the schema, again after each migration`,
  )
}

function prepared({ prepared: gids }: DatabaseRow): Finding {
  if (gids.length === 0) return ok('database.prepared', 'no prepared transaction is older than an hour')
  return warning(
    'database.prepared',
    `prepared transactions are older than an hour: ${gids.join(', ')}. Their events wait, and a slot that they hold is not emptied`,
    gids.map((gid) => `commit prepared '${gid.replaceAll("'", "''")}'; -- or rollback prepared`).join(' '),
  )
}

function durability({ fsync, full_page_writes: pages, synchronous_commit: commit }: DatabaseRow): Finding {
  if (fsync !== 'on' || pages !== 'on')
    return failure(
      'database.durability',
      `fsync is ${fsync} and full_page_writes is ${pages}: a crash can lose or damage what was committed`,
      'set both to on in postgresql.conf and restart',
    )
  if (commit === 'off')
    return warning(
      'database.durability',
      'synchronous_commit is off: a crash loses the last commits. None of them is published before it is durable',
      'alter system set synchronous_commit = on; select pg_reload_conf();',
    )
  return ok('database.durability', `commits are durable (synchronous_commit = ${commit})`)
}

function clock(databaseMs: number, askedMs: number, answeredMs: number): Finding {
  const skewMs = databaseMs < askedMs ? askedMs - databaseMs : Math.max(0, databaseMs - answeredMs)
  return skewMs <= clockSkewMsMax
    ? ok('clock', 'this machine and the database agree about the time')
    : warning(
        'clock',
        `this machine and the database differ by ${Math.round(skewMs)} ms: ages in metrics are wrong by as much`,
        'synchronise both by NTP',
      )
}
