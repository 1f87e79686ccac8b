-- The read of a live window as a function: the server keeps its plan in each of its processes, which saves two thirds of the
-- read's time, and works behind a pooler, too, where prepared statements do not.

-- The rows behind a snapshot that are visible in that of the transaction, which must be REPEATABLE READ: those whose
-- transaction began behind it, and those of the transactions that were open in it and have ended since. In emit order, bounded
-- by rows and by bytes; the first row always passes. Two ranges of the txid index: `offset 0` keeps the planner from walking
-- all of seq, as it would where it takes `txid >= n` for a third of the table. Statistics are always wrong after TRUNCATE, so
-- the planner is led.
create function outbox.live_window(
  given_xmax xid8, given_open xid8[], bucket_from integer, bucket_to integer, lane_topics text[], in_lane boolean,
  rows_max integer, bytes_max bigint
) returns table (
  seq bigint, id uuid, topic text, type text, source text, key text, partition integer, headers text, payload bytea,
  occurred_at timestamptz
)
  language plpgsql stable
  set enable_seqscan = off
  set jit = off
  set max_parallel_workers_per_gather = 0
  set plan_cache_mode = force_generic_plan
  set work_mem = '16MB'
as $$
declare
  ended xid8[] := '{}';
begin
  if cardinality(given_open) > 0 then
    ended := (select coalesce(array_agg(o.txid), '{}') from unnest(given_open) as o (txid)
               where not exists (select from pg_snapshot_xip(pg_current_snapshot()) as x (txid) where x.txid = o.txid));
  end if;
  if cardinality(ended) > 0 then
    return query
      select e.seq, e.id, e.topic, e.type, e.source, e.key, e.partition, e.headers::text, e.payload, e.occurred_at
        from (select r.*, sum(coalesce(octet_length(r.payload), 0) + 256) over (order by r.seq rows between unbounded preceding and 1 preceding) as bytes_before
                from (select * from (
                        select v.* from outbox.events v
                         where v.txid >= given_xmax and v.bucket between bucket_from and bucket_to
                           and (cardinality(lane_topics) = 0 or (v.topic = any (lane_topics)) = in_lane)
                        union all
                        select v.* from outbox.events v
                         where v.txid = any (ended) and v.bucket between bucket_from and bucket_to
                           and (cardinality(lane_topics) = 0 or (v.topic = any (lane_topics)) = in_lane)
                        offset 0) w
                       order by w.seq limit rows_max) r) e
       where coalesce(e.bytes_before, 0) < bytes_max
       order by e.seq;
  else
    return query
      select e.seq, e.id, e.topic, e.type, e.source, e.key, e.partition, e.headers::text, e.payload, e.occurred_at
        from (select r.*, sum(coalesce(octet_length(r.payload), 0) + 256) over (order by r.seq rows between unbounded preceding and 1 preceding) as bytes_before
                from (select * from (
                        select v.* from outbox.events v
                         where v.txid >= given_xmax and v.bucket between bucket_from and bucket_to
                           and (cardinality(lane_topics) = 0 or (v.topic = any (lane_topics)) = in_lane)
                        offset 0) w
                       order by w.seq limit rows_max) r) e
       where coalesce(e.bytes_before, 0) < bytes_max
       order by e.seq;
  end if;
end
$$;

create or replace function outbox.grant_relay(role name) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('grant usage on schema outbox to %I', role);
  execute format('grant select on all tables in schema outbox to %I', role);
  execute format('grant insert on outbox.life, outbox.claims, outbox.releases, outbox.heartbeats, outbox.reshards, outbox.windows, outbox.initialised to %I', role);
  execute format('grant select on sequence outbox.slot, outbox.window_slot, outbox.heartbeat_slot to %I', role);
  -- Dead letters and replays are written through functions only, which look at the epoch of the shard.
  execute format('grant execute on function outbox.set_aside(smallint, bigint, uuid, bigint[], uuid[], boolean[], text[], text[]), outbox.settle_dead_letters(smallint, bigint, uuid, text, bigint[], bigint[], text[], text[]) to %I', role);
  execute format('grant execute on function outbox.note_replay(smallint, bigint, uuid, bigint, text, bigint, pg_snapshot, bigint, bigint) to %I', role);
  execute format('grant execute on function outbox.confirmed(), outbox.is_original(xid, xid8), outbox.rotate(text, bigint, bigint, bigint) to %I', role);
  execute format('grant execute on function outbox.live_window(xid8, xid8[], integer, integer, text[], boolean, integer, bigint) to %I', role);
end
$$;

revoke execute on function outbox.live_window(xid8, xid8[], integer, integer, text[], boolean, integer, bigint) from public;

insert into outbox.migrations (number, name) values (7, 'live-reads');
