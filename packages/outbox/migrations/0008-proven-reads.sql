-- All that a poll of a relay asks, in one statement: a snapshot; the proof that what the relay holds in memory is still true of
-- this server; and the rows behind `given_xmax` that are visible in that snapshot. It takes the place of outbox.live_window, whose
-- callers asked for snapshot, rows and proof one after the other.
--
-- The first row is the answer about the snapshot: its other columns are null, and so are those five of all rows behind it. Nothing
-- but the snapshot comes when it is `given_empty`: what the relay knows to hold nothing; and on a standby. The rows are those whose transaction began
-- behind `given_xmax`, and those of the transactions that were open then and have ended since. In emit order, bounded by rows and
-- by bytes; the first one always passes. STABLE: everything in it is of the one snapshot of the statement that calls it.
--
-- Two ranges of the txid index: `offset 0` keeps the planner from walking all of seq, as it would where it takes `txid >= n` for a
-- third of the table. Statistics are always wrong after TRUNCATE, so the planner is led.
drop function outbox.live_window(xid8, xid8[], integer, integer, text[], boolean, integer, bigint);

create function outbox.read_live(
  given_empty text, given_token uuid, given_shard integer, given_generation integer, given_epoch bigint, given_window bigint,
  given_xmax xid8, given_open xid8[], bucket_from integer, bucket_to integer, lane_topics text[], in_lane boolean,
  rows_max integer, bytes_max bigint
) returns table (
  seq bigint, id uuid, topic text, type text, source text, key text, partition integer, headers text, payload bytea,
  occurred_at timestamptz, snapshot text, standby boolean, alive boolean, anchored boolean, epoch bigint
)
  language plpgsql stable
  -- Or whoever may create functions could put one in the way of unnest(xid8[]), and have it run by the relay.
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set jit = off
  set max_parallel_workers_per_gather = 0
  set plan_cache_mode = force_generic_plan
  set work_mem = '16MB'
as $$
declare
  ended xid8[] := '{}';
begin
  snapshot := pg_current_snapshot()::text;
  standby := pg_is_in_recovery();
  -- On a standby there is no life to look at.
  if standby or snapshot = given_empty then
    return next;
    return;
  end if;
  alive := exists (select from outbox.life where token = given_token);
  anchored := exists (select from outbox.windows w
                       where w.shard = given_shard and w.generation = given_generation and w.epoch = given_epoch
                         and w.window_number = given_window);
  epoch := (select max(c.epoch) from outbox.claims c where c.shard = given_shard);
  return next;
  if cardinality(given_open) > 0 then
    ended := (select coalesce(array_agg(o.txid), '{}') from unnest(given_open) as o (txid)
               where not exists (select from pg_snapshot_xip(pg_current_snapshot()) as x (txid) where x.txid = o.txid));
  end if;
  return query
    select e.seq, e.id, e.topic, e.type, e.source, e.key, e.partition, e.headers::text, e.payload, e.occurred_at,
           null::text, null::boolean, null::boolean, null::boolean, null::bigint
      from (select r.*, sum(coalesce(octet_length(r.payload), 0) + 256) over (order by r.seq rows between unbounded preceding and 1 preceding) as bytes_before
              from (select * from (
                      select behind.* from outbox.events behind where behind.txid >= given_xmax
                      union all
                      select finished.* from outbox.events finished where finished.txid = any (ended)
                      offset 0) w
                     where w.bucket between bucket_from and bucket_to
                       and (cardinality(lane_topics) = 0 or (w.topic = any (lane_topics)) = in_lane)
                     order by w.seq limit rows_max) r) e
     where coalesce(e.bytes_before, 0) < bytes_max
     order by e.seq;
end
$$;

delete from outbox.grants where privilege like 'execute on function outbox.live_window(%';
insert into outbox.grants (grantee, privilege) values
  ('relay', 'execute on function outbox.read_live(text, uuid, integer, integer, bigint, bigint, xid8, xid8[], integer, integer, text[], boolean, integer, bigint)');

revoke execute on function outbox.read_live(text, uuid, integer, integer, bigint, bigint, xid8, xid8[], integer, integer, text[], boolean, integer, bigint) from public;

insert into outbox.migrations (number, name) values (8, 'proven-reads');
