-- The outbox of one service: its events, and the insert-only bookkeeping of the relay that publishes them.
--
-- No row here is ever updated or deleted: under a held xmin an updated row slows down without end. Space comes back by
-- TRUNCATE of a whole slot. `txid` and `seq` have defaults that writers must not override (see outbox.grant_writer):
-- a forged txid hides an event for ever.

-- A schema that an administrator has made for a role without CREATE on the database is taken as it is; "create schema
-- if not exists" would ask for that privilege all the same.
do $$
begin
  if to_regnamespace('outbox') is null then create schema outbox; end if;
end
$$;

create table outbox.migrations (
  number integer     primary key,
  name   text        not null,
  at     timestamptz not null default clock_timestamp()
);
insert into outbox.migrations (number, name) values (1, 'outbox');

-- Plain sequences, not identity: identity columns of partitioned tables need PostgreSQL 17. Cache 1, or sequence
-- numbers no longer follow the order in which transactions that wait for each other emit.
create sequence outbox.events_seq as bigint cache 1;

-- The slot that writers write to. Moved by setval only: nextval logs 32 values ahead and jumps after a crash.
create sequence outbox.slot as bigint minvalue 1 maxvalue 3 cache 1;
create sequence outbox.window_slot as bigint minvalue 1 maxvalue 3 cache 1;

create table outbox.events (
  seq         bigint      not null default nextval('outbox.events_seq'),
  txid        xid8        not null default pg_current_xact_id(),
  slot        smallint    not null default coalesce(pg_sequence_last_value('outbox.slot'), 1)::smallint,
  bucket      smallint    not null,
  id          uuid        not null,
  source      text        not null,
  topic       text        not null,
  type        text        not null,
  key         text,
  partition   integer,
  headers     jsonb,
  payload     bytea,
  occurred_at timestamptz not null default clock_timestamp(),
  constraint events_bucket check (bucket between 0 and 255),
  constraint events_partition check (partition >= 0),
  constraint events_tombstone_key check (payload is not null or key is not null),
  -- Plain SQL may write here too: what no relay could publish, or would spoof the envelope, is refused at once.
  constraint events_headers check (
    headers is null
    or jsonb_typeof(headers) = 'object'
       and not jsonb_path_exists(headers, 'strict $.* ? (@.type() != "string")')
       and not jsonb_path_exists(headers, 'strict $.keyvalue().key ? (@ starts with "ce_" || @ starts with "oncebox_")')
  )
) partition by list (slot);

create table outbox.events_1 partition of outbox.events for values in (1);
create table outbox.events_2 partition of outbox.events for values in (2);
create table outbox.events_3 partition of outbox.events for values in (3);

-- Live windows are index ranges on txid; a backlog walks seq, merged over the slots.
create index events_txid on outbox.events (txid);
create unique index events_1_seq on outbox.events_1 (seq);
create unique index events_2_seq on outbox.events_2 (seq);
create unique index events_3_seq on outbox.events_3 (seq);

-- Payloads are stored as they come: compressing them costs the writer time, and the relay's batches compress better.
alter table outbox.events_1 alter column payload set storage external;
alter table outbox.events_2 alter column payload set storage external;
alter table outbox.events_3 alter column payload set storage external;

-- The life token: an unlogged table is emptied by crash recovery and on a promoted standby, and kept by a clean
-- restart. A token that is gone tells a relay to forget every snapshot that it holds in memory.
create unlogged table outbox.life (
  token     uuid        not null default gen_random_uuid(),
  the_one   boolean     primary key default true check (the_one),
  begun_at  timestamptz not null default clock_timestamp()
);

-- Which buckets and lanes belong to which shard. A row per generation; the newest counts.
create table outbox.shard_map (
  generation integer     primary key,
  map        jsonb       not null,
  at         timestamptz not null default clock_timestamp()
);
insert into outbox.shard_map (generation, map)
values (1, '{"shards": [{"shard": 0, "lane": "default", "bucketFrom": 0, "bucketTo": 255}], "lanes": {}}');

-- Who may act for a shard. The highest epoch of a shard counts; it fences what Kafka cannot fence.
create table outbox.claims (
  shard             smallint    not null,
  epoch             bigint      not null,
  generation        integer     not null references outbox.shard_map,
  relay             text        not null,
  incarnation       uuid        not null,
  holder            text        not null,
  kafka_cluster_id  text        not null,
  progress_topic    text        not null,
  progress_topic_id uuid        not null,
  at                timestamptz not null default clock_timestamp(),
  primary key (shard, epoch)
);

create table outbox.heartbeats (
  shard smallint    not null,
  epoch bigint      not null,
  at    timestamptz not null default clock_timestamp()
);
create index heartbeats_shard on outbox.heartbeats (shard, at);

-- One row per window that is used, committed synchronously before it is: the gate of durability, the proof after a
-- failover, and the database's copy of the position. Window 0 is where the shard began.
-- The check holds for every true snapshot: its xmax cannot lie above a transaction id assigned after it was taken.
create table outbox.windows (
  shard                smallint    not null,
  generation           integer     not null,
  epoch                bigint      not null,
  window_number        bigint      not null,
  incarnation          uuid        not null,
  to_snapshot          pg_snapshot not null,
  confirmed_generation integer,
  confirmed_epoch      bigint,
  confirmed_window     bigint,
  txid                 xid8        not null default pg_current_xact_id(),
  slot                 smallint    not null default coalesce(pg_sequence_last_value('outbox.window_slot'), 1)::smallint,
  at                   timestamptz not null default clock_timestamp(),
  check (pg_snapshot_xmax(to_snapshot) <= txid)
) partition by list (slot);

create table outbox.windows_1 partition of outbox.windows for values in (1);
create table outbox.windows_2 partition of outbox.windows for values in (2);
create table outbox.windows_3 partition of outbox.windows for values in (3);
create unique index windows_1_position on outbox.windows_1 (shard, generation, epoch, window_number);
create unique index windows_2_position on outbox.windows_2 (shard, generation, epoch, window_number);
create unique index windows_3_position on outbox.windows_3 (shard, generation, epoch, window_number);

-- Written once per shard and generation, when Kafka holds position 0. From then on a missing position in Kafka means
-- that Kafka has lost it, not that nothing was published yet.
create table outbox.initialised (
  shard             smallint    not null,
  generation        integer     not null,
  relay             text        not null,
  kafka_cluster_id  text        not null,
  progress_topic_id uuid        not null,
  at                timestamptz not null default clock_timestamp(),
  primary key (shard, generation)
);

-- A full copy of each event that could not be published, and why.
create table outbox.dead_letters (
  id          uuid        not null,
  seq         bigint      not null,
  txid        xid8        not null,
  shard       smallint    not null,
  epoch       bigint      not null,
  bucket      smallint    not null,
  source      text        not null,
  topic       text        not null,
  type        text        not null,
  key         text,
  partition   integer,
  headers     jsonb,
  payload     bytea,
  occurred_at timestamptz not null,
  code        text        not null,
  reason      text        not null,
  at          timestamptz not null default clock_timestamp(),
  primary key (source, id)
);

-- The bucket of an ordering key: the first byte of its SHA-256, as in the TypeScript library. Keyless: random.
create function outbox.bucket(key text) returns smallint
  language sql volatile parallel restricted -- random() is
  set search_path = pg_catalog, pg_temp
  return (case when key is null then floor(random() * 256)::int
               else get_byte(sha256(convert_to(key, 'UTF8')), 0) end)::smallint;

-- UUID version 7 (RFC 9562): 48 bits of milliseconds, then random. PostgreSQL 18 has uuidv7(); older servers do not.
create function outbox.uuid7() returns uuid
  language sql volatile parallel safe
  set search_path = pg_catalog, pg_temp
  return encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
              placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
              from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid;

-- Emits one event from any language: call it inside the transaction that writes the rows, after the row lock that
-- orders the key was taken. The payload is sent as the JSON text of `payload`.
create function outbox.emit(
  source text, topic text, type text, key text, payload jsonb,
  headers jsonb default null, partition integer default null
) returns uuid
  language sql volatile
  set search_path = pg_catalog, pg_temp
  begin atomic
    insert into outbox.events (bucket, id, source, topic, type, key, partition, headers, payload)
    values (outbox.bucket(emit.key), outbox.uuid7(), emit.source, emit.topic, emit.type, emit.key, emit.partition,
            emit.headers, convert_to(emit.payload::text, 'UTF8'))
    returning id;
  end;

-- What each kind of role needs. The migration that makes an object adds the rows of those who need it.
create table outbox.grants (
  grantee   text not null,
  privilege text not null,
  primary key (grantee, privilege)
);

create function outbox.grant_to(kind text, role name) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
declare
  given text;
begin
  execute format('grant usage on schema outbox to %I', role);
  for given in select g.privilege from outbox.grants g where g.grantee = kind loop
    execute format('grant %s to %I', given, role);
  end loop;
end
$$;

-- Gives a role what a service needs to emit, and nothing else: named columns only, so that neither txid nor seq nor
-- slot can be forged. Run as the owner of the schema, as the other ones, and again after each migration.
create function outbox.grant_writer(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select outbox.grant_to('writer', role) $$;

-- Gives a role what a relay needs: it reads events, and inserts bookkeeping. It cannot change or delete anything.
create function outbox.grant_relay(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select outbox.grant_to('relay', role) $$;

insert into outbox.grants (grantee, privilege) values
  ('writer', 'insert (bucket, id, source, topic, type, key, partition, headers, payload, occurred_at) on outbox.events'),
  -- Whether the schema is as new as the library.
  ('writer', 'select on outbox.migrations'),
  -- What became of a COMMIT whose answer was lost.
  ('writer', 'select (id, txid) on outbox.events'),
  ('writer', 'usage on sequence outbox.events_seq'),
  ('writer', 'select on sequence outbox.slot'),
  ('writer', 'execute on function outbox.bucket(text), outbox.uuid7(), outbox.emit(text, text, text, text, jsonb, jsonb, integer)'),
  ('relay', 'select on all tables in schema outbox'),
  ('relay', 'insert on outbox.life, outbox.claims, outbox.heartbeats, outbox.windows, outbox.initialised'),
  ('relay', 'select on sequence outbox.slot, outbox.window_slot');

revoke execute on function outbox.grant_to(text, name), outbox.grant_writer(name), outbox.grant_relay(name) from public;
