-- The inbox of the consumers that keep their effects in this database: dedup marks, positions, attempts, parked events.
--
-- A mark is inserted by the transaction of the effect; the insert decides whether the event is new. Positions win over
-- Kafka's offsets, so that a restored database gets its lost effects again.

create schema inbox;

create table inbox.migrations (
  number integer     primary key,
  name   text        not null,
  at     timestamptz not null default clock_timestamp()
);
insert into inbox.migrations (number, name) values (1, 'inbox');

-- The life token: an unlogged table is emptied by crash recovery and on a promoted standby, and kept by a clean
-- restart. A token that is gone tells a consumer to forget its position in memory and to read it again.
create unlogged table inbox.life (
  token    uuid        not null default gen_random_uuid(),
  the_one  boolean     primary key default true check (the_one),
  begun_at timestamptz not null default clock_timestamp()
);

-- One row per event that took effect. event_at is a pure function of the event (the time inside its UUID v7, else its
-- ce_time, else the epoch), never the time of receipt: partitioned by receipt time, the same id went in twice.
-- Ranges of event_at become partitions of their own by housekeeping; what fits none stays in the default partition.
create table inbox.marks (
  consumer text        not null,
  source   text        not null,
  id       uuid        not null,
  event_at timestamptz not null,
  primary key (consumer, source, id, event_at)
) partition by range (event_at);

create table inbox.marks_default partition of inbox.marks default;

-- The next offset to fetch, by consumer name and topic id: a re-created topic has another id, and the name of the
-- consumer outlives a change of its group id. Events from next up to in_hand were begun by somebody: a consumer that
-- finds in_hand > next follows one that died.
create table inbox.positions (
  consumer  text        not null,
  topic_id  uuid        not null,
  partition integer     not null,
  topic     text        not null,
  next      bigint      not null check (next >= 0),
  in_hand   bigint      not null check (in_hand >= next),
  at        timestamptz not null default clock_timestamp(),
  primary key (consumer, topic_id, partition)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0);

-- Only events that have failed, or are run alone because somebody died over them; gone with their success.
create table inbox.attempts (
  consumer  text        not null,
  source    text        not null,
  id        uuid        not null,
  topic_id  uuid        not null,
  partition integer     not null,
  attempts  integer     not null default 0,
  kills     integer     not null default 0,
  running   boolean     not null default false,
  code      text,
  reason    text,
  at        timestamptz not null default clock_timestamp(),
  primary key (consumer, source, id)
) with (fillfactor = 70);
create index attempts_partition on inbox.attempts (consumer, topic_id, partition);

-- Events that did not take effect in their turn, with a full copy. `number` is the order in which they came.
create table inbox.parked (
  number      bigint      generated always as identity primary key,
  consumer    text        not null,
  source      text        not null,
  id          uuid        not null,
  event_id    text        not null,
  state       text        not null check (state in ('parked', 'retrying', 'dead', 'replayed', 'discarded')),
  type        text,
  topic       text        not null,
  topic_id    uuid        not null,
  partition   integer     not null,
  "offset"    bigint      not null,
  record_at   timestamptz not null,
  event_at    timestamptz not null,
  key         bytea,
  headers     jsonb       not null,
  payload     bytea,
  attempts    integer     not null,
  kills       integer     not null default 0,
  code        text        not null,
  reason      text        not null,
  stack       text,
  retry_at    timestamptz,
  parked_at   timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  unique (consumer, source, id)
);
create index parked_state on inbox.parked (consumer, state, number);
alter table inbox.parked alter column payload set storage external;

-- What each kind of role needs. The migration that makes an object adds the rows of those who need it.
create table inbox.grants (
  grantee   text not null,
  privilege text not null,
  primary key (grantee, privilege)
);

create function inbox.grant_to(kind text, role name) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  given text;
begin
  execute format('grant usage on schema inbox to %I', role);
  for given in select g.privilege from inbox.grants g where g.grantee = kind loop
    execute format('grant %s to %I', given, role);
  end loop;
end
$$;

-- Gives a role what a consumer needs of this schema. Run as its owner, and again after each migration.
create function inbox.grant_consumer(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select inbox.grant_to('consumer', role) $$;

insert into inbox.grants (grantee, privilege) values
  ('consumer', 'select on inbox.migrations'),
  ('consumer', 'select, insert on inbox.life, inbox.marks'),
  ('consumer', 'select, insert, update on inbox.positions, inbox.parked'),
  ('consumer', 'select, insert, update, delete on inbox.attempts');

revoke execute on function inbox.grant_to(text, name), inbox.grant_consumer(name) from public;
