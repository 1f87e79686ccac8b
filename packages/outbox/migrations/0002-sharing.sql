-- Several relay processes share the shards of an outbox: who is alive, and who gave a shard back.
--
-- A process that stands still loses its shards after the time that its own heartbeats name. Safety never depends on it:
-- a claim raises the shard's epoch, and Kafka fences the transactional ids.

drop table outbox.heartbeats; -- was never written

create sequence outbox.heartbeat_slot as bigint minvalue 1 maxvalue 2 cache 1;

-- Insert-only: an updated row slows down without end under a held xmin. Unlogged: after a crash nobody is alive until
-- he says so again. Emptied slot by slot, like events.
create table outbox.heartbeats (
  relay    text        not null,
  -- One run of a relay in one process.
  holder   text        not null,
  lease_ms integer     not null,
  -- The process stops, and wants no shard any more.
  leaving  boolean     not null default false,
  at       timestamptz not null default clock_timestamp(),
  slot     smallint    not null default coalesce(pg_sequence_last_value('outbox.heartbeat_slot'), 1)::smallint,
  constraint heartbeats_lease check (lease_ms > 0)
) partition by list (slot);

create unlogged table outbox.heartbeats_1 partition of outbox.heartbeats for values in (1);
create unlogged table outbox.heartbeats_2 partition of outbox.heartbeats for values in (2);
create index heartbeats_at on outbox.heartbeats (at);

-- A shard that its holder has given back in good order: anybody may claim it at once.
create table outbox.releases (
  shard smallint    not null,
  epoch bigint      not null,
  at    timestamptz not null default clock_timestamp(),
  primary key (shard, epoch)
);

-- The one snapshot at which all shards of a generation end and those of the next begin, taken when nobody publishes the
-- old ones any more. A row per new generation.
create table outbox.reshards (
  generation  integer     primary key references outbox.shard_map,
  to_snapshot pg_snapshot not null,
  txid        xid8        not null default pg_current_xact_id(),
  at          timestamptz not null default clock_timestamp(),
  constraint reshards_true_snapshot check (pg_snapshot_xmax(to_snapshot) <= txid)
);

insert into outbox.grants (grantee, privilege) values
  ('relay', 'insert on outbox.releases, outbox.reshards'),
  ('relay', 'select on sequence outbox.heartbeat_slot');

insert into outbox.migrations (number, name) values (2, 'sharing');
