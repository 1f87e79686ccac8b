-- Parking: an event that has failed in its turn waits in inbox.parked, and later events of its key queue behind it there.
--
-- A queue is the key of one topic; an event without a key is a queue of its own. Its row in parked_keys is the lock: who
-- queues an event holds it FOR SHARE or writes it, who runs the first one holds it FOR UPDATE. Its number of events
-- decides, under that lock, whether the queue is empty: a look at the events themselves could be older than the lock.

create table inbox.parked_keys (
  consumer  text        not null,
  topic_id  uuid        not null,
  queue     uuid        not null,
  events    integer     not null check (events > 0),
  due_at    timestamptz not null,
  parked_at timestamptz not null default clock_timestamp(),
  primary key (consumer, topic_id, queue)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 50, autovacuum_vacuum_scale_factor = 0.1);
create index parked_keys_due on inbox.parked_keys (consumer, due_at);

-- retries: failed runs from the queue. holder and lease_until: who runs the event, state `retrying`; a lease that has
-- run out was left by a process that died over it, or stands still. replay: it was a dead letter that somebody asked for
-- again, and stays as `replayed`; what only waited is deleted with its effect.
alter table inbox.parked
  drop column retry_at,
  add column queue       uuid,
  add column retries     integer not null default 0,
  add column holder      uuid,
  add column lease_until timestamptz,
  add column replay      boolean not null default false;

create index parked_queue on inbox.parked (consumer, topic_id, queue, number) where state in ('parked', 'retrying');

-- By offset, too: in `position` mode an event that was published twice is two events, and both may wait.
alter table inbox.parked
  drop constraint parked_consumer_source_id_key,
  add constraint parked_event unique (consumer, source, id, topic_id, partition, "offset");

insert into inbox.grants (grantee, privilege) values
  ('consumer', 'delete on inbox.parked'),
  ('consumer', 'select, insert, update, delete on inbox.parked_keys');

revoke all on inbox.parked_keys from public;

insert into inbox.migrations (number, name) values (4, 'parking');
