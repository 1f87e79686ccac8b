-- `oncebox adopt` lets an outbox go on whose history and Kafka's have parted: see docs/operations/failover-and-restore.md.

-- Insert-only. `compared`: the snapshot that a run has compared is durable, before anything of it is published.
-- `adopted`: everything visible in the snapshot is decided, and the shards of the generation begin behind it.
create table outbox.adoptions (
  generation  integer     not null references outbox.shard_map,
  incarnation uuid        not null,
  stage       text        not null check (stage in ('compared', 'adopted')),
  to_snapshot pg_snapshot not null,
  -- How many events were found where, and how many were published.
  counts      jsonb,
  txid        xid8        not null default pg_current_xact_id(),
  at          timestamptz not null default clock_timestamp(),
  primary key (generation, incarnation, stage),
  constraint adoptions_true_snapshot check (pg_snapshot_xmax(to_snapshot) <= txid)
);

revoke all on outbox.adoptions from public;

insert into outbox.migrations (number, name) values (5, 'adoption');
