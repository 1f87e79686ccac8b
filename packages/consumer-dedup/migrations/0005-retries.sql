-- Retry topics: an event that was sent on to one has a row here, from the transaction that sent it on to the one in which the
-- event ends there or is sent on again. Whoever handles the copy deletes the row first; a copy without its row changes nothing: it
-- was delivered before, or this database was restored to a time at which the event had not been sent on, and handles it anew.
create table inbox.retries (
  consumer  text        not null,
  topic_id  uuid        not null,
  partition integer     not null,
  "offset"  bigint      not null,
  topic     text        not null,
  event_id  text        not null,
  tier      integer     not null check (tier > 0),
  due_at    timestamptz not null,
  primary key (consumer, topic_id, partition, "offset")
);

insert into inbox.grants (grantee, privilege) values
  ('consumer', 'select, insert, update, delete on inbox.retries');

revoke all on inbox.retries from public;

insert into inbox.migrations (number, name) values (5, 'retries');
