-- Space comes back: a slot that writers have left, and of which every shard has confirmed every event, is emptied by
-- TRUNCATE. Nobody ever waits in a lock queue for it: every lock is taken with NOWAIT or not at all.
--
-- A relay confirms a window when its last batch is committed in Kafka and every commit marker of it has been seen. Only
-- what the table says counts here, never what a relay has in memory.

-- When writers moved on to a slot, and when a slot was emptied. Ages are counted from here; what may be emptied does
-- not depend on any clock.
create table outbox.rotations (
  number   bigint      generated always as identity primary key,
  relation text        not null,
  slot     smallint    not null,
  what     text        not null,
  at       timestamptz not null default clock_timestamp(),
  constraint rotations_relation check (relation in ('events', 'windows', 'heartbeats')),
  constraint rotations_what check (what in ('advanced', 'emptied'))
);
create index rotations_slot on outbox.rotations (relation, what, slot, number);

-- A relay that was retired (oncebox relay-remove). The generation is the last that it has published; the next one begins
-- at the snapshot in outbox.reshards, for a relay of another name.
create table outbox.removals (
  relay      text        primary key,
  generation integer     not null unique references outbox.shard_map,
  at         timestamptz not null default clock_timestamp()
);

-- Whether a row is physically the one that its transaction wrote. A dump, a restore and logical replication write
-- copies, whose snapshots are of another cluster; failover and pg_upgrade keep the tuple.
create function outbox.is_original(xmin xid, txid xid8) returns boolean
  language sql immutable parallel safe
  set search_path = pg_catalog, pg_temp
  return xmin::text::bigint = mod(txid::text::numeric, 4294967296)::bigint;

-- What each shard of the newest shard map has confirmed: its window, and the snapshot up to which its events are done.
-- Nulls: nothing is confirmed. The newest record of a shard carries the newest window that its relay has confirmed;
-- both rows must be original, and the snapshot must lie in the past. A shard that follows a removed relay begins behind
-- the removal. Reads one row per shard backwards from the end of windows_<slot>_position; sorting would read them all.
create function outbox.confirmed(
  out shard smallint, out generation integer, out epoch bigint, out window_number bigint, out to_snapshot pg_snapshot
) returns setof record
  language sql stable
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set enable_sort = off
begin atomic
  select s.shard, m.generation, w.epoch, w.window_number, coalesce(w.to_snapshot, r.to_snapshot)
    from (select generation, map from outbox.shard_map order by generation desc limit 1) m
   cross join jsonb_to_recordset(m.map -> 'shards') as s(shard smallint)
    left join outbox.initialised i on i.shard = s.shard and i.generation = m.generation
    left join lateral (
      select n.confirmed_generation, n.confirmed_epoch, n.confirmed_window, outbox.is_original(n.xmin, n.txid) as original
        from outbox.windows n
       where n.shard = s.shard and n.generation = m.generation
       order by n.epoch desc, n.window_number desc
       limit 1) n on true
    left join lateral (
      select w.epoch, w.window_number, w.to_snapshot
        from outbox.windows w
       where w.shard = s.shard and w.generation = m.generation and n.confirmed_generation = m.generation
         and w.epoch = n.confirmed_epoch and w.window_number = n.confirmed_window
         and n.original and outbox.is_original(w.xmin, w.txid)
         and pg_snapshot_xmax(w.to_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
       limit 1) w on i.shard is not null
    left join (
      select r.generation, r.to_snapshot
        from outbox.reshards r
        join outbox.removals x on x.generation = r.generation - 1
       where outbox.is_original(r.xmin, r.txid)
         and pg_snapshot_xmax(r.to_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())) r
      on r.generation = m.generation;
end;

-- The shards that still need a slot: of events, those that have not confirmed all of its rows; of windows, those whose
-- confirmed window, or a later one, is recorded there. A relay's position in Kafka never stands on an earlier window
-- than the confirmed one. Exact and cheap: a row is not visible in a snapshot when its txid is at or above xmax, or
-- among those that were open; both are probes of the index events_txid, whatever the slot holds.
create function outbox.holders(relation text, part regclass) returns smallint[]
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
as $$
declare
  confirmed record;
  needs     boolean;
  found     smallint[] := '{}';
begin
  if relation = 'heartbeats' then return found; end if;
  for confirmed in select * from outbox.confirmed() loop
    if relation = 'windows' then
      if confirmed.window_number is null then
        needs := true;
      else
        execute format(
          'select exists (select from only %s where shard = $1 and (generation, epoch, window_number) >= ($2, $3, $4))', part)
          into needs using confirmed.shard, confirmed.generation, confirmed.epoch, confirmed.window_number;
      end if;
    elsif confirmed.to_snapshot is null then
      execute format('select exists (select from only %s)', part) into needs;
    else
      execute format(
        'select exists (select from only %1$s where txid >= $1) or exists (select from only %1$s where txid = any ($2))', part)
        into needs
        using pg_snapshot_xmax(confirmed.to_snapshot), array(select pg_snapshot_xip(confirmed.to_snapshot));
    end if;
    if needs then found := found || confirmed.shard; end if;
  end loop;
  return found;
end
$$;

-- Whether nobody has, or may yet commit, a row in a partition. Seen under a lock that no writer shares, which is given
-- back at once by rolling back to before it: the sequence moves as soon as setval returns, and writers that follow it
-- must not wait for this transaction.
create function outbox.is_free(part regclass) returns boolean
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
as $$
declare
  free boolean := false;
begin
  execute format('lock table only %s in share mode nowait', part);
  free := pg_relation_size(part) = 0; -- a statement of its own: it sees what the lock waited for no longer
  raise exception using errcode = 'OBFRE';
exception
  when lock_not_available then return false;
  when sqlstate 'OBFRE' then return free;
end
$$;

-- Who holds a lock on a partition. A prepared transaction has no process; its own id leads from its locks to its name.
create function outbox.blockers(part regclass) returns text[]
  language sql volatile
  set search_path = pg_catalog, pg_temp
  return (
    select coalesce(array_agg(distinct coalesce('process ' || l.pid, 'prepared transaction ' || p.gid, 'a prepared transaction')), '{}')
      from pg_locks l
      left join pg_locks x
        on l.pid is null and x.pid is null and x.locktype = 'transactionid' and x.virtualtransaction = l.virtualtransaction
      left join pg_prepared_xacts p on p.transaction = x.transactionid
     where l.locktype = 'relation' and l.relation = part and l.granted and l.pid is distinct from pg_backend_pid()
       and l.database = (select oid from pg_database where datname = current_database()));

-- One step of the rotation of `events`, `windows` or `heartbeats`: moves writers on to the next slot when it is free and
-- they have been in theirs for half of `retention_ms`, and for `slot_ms` or `slot_bytes`; then empties a slot that they
-- left `retention_ms` ago. Never waits for a lock on what others use.
--
-- The lock, the check and TRUNCATE are one statement of the client, so that nobody who stands still can hold the lock;
-- the check is a statement of its own inside: under READ COMMITTED it sees every transaction that the lock had to
-- exclude. Under REPEATABLE READ it would see the past, and rows that nobody has published would be gone.
--
-- All null: another process is at it. advanced: the slot that writers write to from now on, null when it did not change. emptied: the slot that was
-- emptied. due: slots that should be empty and are not yet. held_by: shards that still need one of them. blockers: who
-- has a lock on one.
create function outbox.rotate(
  relation text, retention_ms bigint, slot_ms bigint, slot_bytes bigint,
  out advanced smallint, out emptied smallint, out due smallint[], out held_by smallint[], out blockers text[]
)
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
  set lock_timeout = '20ms' -- for what TRUNCATE locks by itself: TOAST, which a vacuum may be working on
as $$
declare
  slots   constant smallint := case relation when 'heartbeats' then 2 when 'events' then 3 when 'windows' then 3 end;
  turn    constant regclass := case relation when 'heartbeats' then 'outbox.heartbeat_slot' when 'events' then 'outbox.slot' else 'outbox.window_slot' end;
  writing smallint;
  since   timestamptz;
  age_ms  numeric;
  part    regclass;
  left_at timestamptz;
  holders smallint[];
begin
  if slots is null or retention_ms < 0 then
    raise exception 'outbox.rotate: relation %, retention_ms %', relation, retention_ms using errcode = 'invalid_parameter_value';
  end if;
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'outbox.rotate runs in READ COMMITTED only, and this transaction is in %', current_setting('transaction_isolation')
      using errcode = 'invalid_transaction_state';
  end if;
  -- Class of the locks on shards; -2 is the rotation's.
  if not pg_try_advisory_xact_lock(1869505381, -2) then return; end if;
  due := '{}';
  held_by := '{}';
  blockers := '{}';

  writing := coalesce(pg_sequence_last_value(turn), 1);
  select r.at into since from outbox.rotations r
   where r.relation = rotate.relation and r.what = 'advanced' and r.slot = writing
     and r.number = (select max(m.number) from outbox.rotations m where m.relation = rotate.relation and m.what = 'advanced');
  if since is null then -- the first time, or a crash took the row and left the sequence
    insert into outbox.rotations (relation, slot, what) values (rotate.relation, writing, 'advanced');
    since := clock_timestamp();
  end if;

  age_ms := extract(epoch from clock_timestamp() - since) * 1000;
  part := format('outbox.%s_%s', relation, writing);
  if age_ms >= retention_ms / 2 and pg_relation_size(part) > 0 and (age_ms >= slot_ms or pg_table_size(part) >= slot_bytes) then
    if outbox.is_free(format('outbox.%s_%s', relation, writing % slots + 1)) then
      writing := writing % slots + 1;
      perform setval(turn, writing); -- at once, for everybody, whatever becomes of this transaction
      insert into outbox.rotations (relation, slot, what) values (rotate.relation, writing, 'advanced');
      advanced := writing;
    end if;
  end if;

  for candidate in 1 .. slots loop
    part := format('outbox.%s_%s', relation, candidate);
    continue when candidate = writing or pg_relation_size(part) = 0;
    select min(r.at) into left_at from outbox.rotations r
     where r.relation = rotate.relation and r.what = 'advanced'
       and r.number > coalesce((select max(m.number) from outbox.rotations m
                                 where m.relation = rotate.relation and m.what = 'advanced' and m.slot = candidate), 0);
    continue when extract(epoch from clock_timestamp() - left_at) * 1000 < retention_ms;
    due := due || candidate::smallint;
    -- Before the lock, so that a slot that is needed is not locked at all.
    holders := outbox.holders(relation, part);
    held_by := held_by || holders;
    continue when emptied is not null or holders <> '{}'; -- one at a time: its lock is held until the end
    begin
      execute format('lock table only %s in access exclusive mode nowait', part);
      -- Under the lock, in new statements. Nothing in the slot is uncommitted now, and nobody can add to it.
      holders := outbox.holders(relation, part);
      if holders = '{}' and candidate <> coalesce(pg_sequence_last_value(turn), 1) then
        execute format('truncate only %s', part);
        insert into outbox.rotations (relation, slot, what) values (rotate.relation, candidate, 'emptied');
        emptied := candidate;
      end if;
    exception when lock_not_available then
      blockers := blockers || outbox.blockers(part);
    end;
  end loop;
  due := array_remove(due, emptied);
  held_by := array(select distinct h from unnest(held_by) h order by h);
end
$$;

-- Gives a role what it takes to look: at events with their payloads, at positions, at who publishes. It changes nothing.
create function outbox.grant_reader(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select outbox.grant_to('reader', role) $$;

insert into outbox.grants (grantee, privilege) values
  ('relay', 'execute on function outbox.confirmed(), outbox.is_original(xid, xid8), outbox.rotate(text, bigint, bigint, bigint)'),
  ('reader', 'select on all tables in schema outbox'),
  ('reader', 'select on all sequences in schema outbox'),
  ('reader', 'execute on function outbox.confirmed(), outbox.is_original(xid, xid8)');

-- Nobody has anything by default, whatever default privileges the database gives to new objects.
revoke all on schema outbox from public;
revoke all on all tables in schema outbox from public;
revoke all on all sequences in schema outbox from public;
revoke all on all functions in schema outbox from public;

insert into outbox.migrations (number, name) values (4, 'rotation');
