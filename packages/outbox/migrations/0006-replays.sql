-- Events that were published are published again when a person asks for it: see docs/operations/replay.md.

-- Insert-only. What is to be published again; null selects all. The shards of its generation do it, each its own events.
create table outbox.replays (
  number       bigint      generated always as identity primary key,
  generation   integer     not null references outbox.shard_map,
  topics       text[],
  keys         text[],
  ids          uuid[],
  since        timestamptz,
  until        timestamptz,
  -- Where to; null for the topic of each event.
  to_topic     text,
  requested_by name        not null default session_user,
  at           timestamptz not null default clock_timestamp(),
  constraint replays_selection check (num_nonnulls(topics, keys, ids, since, until) > 0)
);

-- Insert-only. How far a shard is. `begun`: the snapshot shows what it had published when it took the request up, and seq is
-- the last number that it looks at. `published`: everything up to seq is done. `done`: all of it.
create table outbox.replay_steps (
  replay      bigint      not null references outbox.replays,
  shard       smallint    not null,
  stage       text        not null check (stage in ('begun', 'published', 'done')),
  seq         bigint      not null,
  to_snapshot pg_snapshot check ((to_snapshot is not null) = (stage = 'begun')),
  -- Of this step.
  events      bigint      not null default 0,
  refused     bigint      not null default 0,
  epoch       bigint      not null,
  at          timestamptz not null default clock_timestamp(),
  primary key (replay, shard, stage, seq)
);
-- A shard begins once, and ends once.
create unique index replay_steps_begun on outbox.replay_steps (replay, shard) where stage = 'begun';
create unique index replay_steps_done on outbox.replay_steps (replay, shard) where stage = 'done';

-- Insert-only. Requests of which nothing more is published: a person has called them off.
create table outbox.replay_cancellations (
  replay       bigint      primary key references outbox.replays,
  requested_by name        not null default session_user,
  at           timestamptz not null default clock_timestamp()
);

-- Asks the relay to publish events again. Returns the number of the request. The lock lets numbers rise in the order of their
-- commits, so that a relay need not look again at those below one that is done; readers do not wait for it.
create function outbox.request_replay(
  topics text[], keys text[], ids uuid[], since timestamptz, until timestamptz, to_topic text
) returns bigint
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  requested bigint;
begin
  lock table outbox.replays in share row exclusive mode;
  insert into outbox.replays (generation, topics, keys, ids, since, until, to_topic)
  select max(m.generation), $1, $2, $3, $4, $5, $6 from outbox.shard_map m
  returning number into requested;
  return requested;
end
$$;

-- Calls a request off. False when there is none of that number.
create function outbox.cancel_replay(of_replay bigint) returns boolean
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
as $$
begin
  insert into outbox.replay_cancellations (replay)
  select r.number from outbox.replays r where r.number = of_replay
      on conflict do nothing;
  return exists (select from outbox.replays r where r.number = of_replay);
end
$$;

-- Records how far a shard is; what is recorded stays as it is. Only its holder may: see outbox.holder.
create function outbox.note_replay(
  of_shard smallint, of_epoch bigint, of_life uuid,
  of_replay bigint, at_stage text, at_seq bigint, shown pg_snapshot, published bigint, refusals bigint
) returns text
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  holder text := outbox.holder(of_shard, of_epoch, of_life);
begin
  if holder <> 'holds' then return holder; end if;
  insert into outbox.replay_steps (replay, shard, stage, seq, to_snapshot, events, refused, epoch)
  values (of_replay, of_shard, at_stage, at_seq, shown, published, refusals, of_epoch)
      on conflict do nothing;
  return holder;
end
$$;

-- For the person who runs oncebox replay: counts events, and asks for them to be published again. Sees their payloads.
create function outbox.grant_replay(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select outbox.grant_to('replay', role) $$;

insert into outbox.grants (grantee, privilege) values
  -- Written through a function only, which looks at the epoch of the shard.
  ('relay', 'execute on function outbox.note_replay(smallint, bigint, uuid, bigint, text, bigint, pg_snapshot, bigint, bigint)'),
  ('replay', 'select on outbox.migrations, outbox.events, outbox.dead_letters, outbox.dead_letter_results, outbox.shard_map, outbox.replays, outbox.replay_steps, outbox.replay_cancellations'),
  ('replay', 'execute on function outbox.request_replay(text[], text[], uuid[], timestamptz, timestamptz, text), outbox.cancel_replay(bigint)');

revoke all on outbox.replays, outbox.replay_steps, outbox.replay_cancellations from public;
revoke all on sequence outbox.replays_number_seq from public;
revoke execute on function outbox.request_replay(text[], text[], uuid[], timestamptz, timestamptz, text), outbox.cancel_replay(bigint), outbox.note_replay(smallint, bigint, uuid, bigint, text, bigint, pg_snapshot, bigint, bigint), outbox.grant_replay(name) from public;

insert into outbox.migrations (number, name) values (6, 'replays');
