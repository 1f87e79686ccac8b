-- The notification service's own tables. A row of mails stands for a mail that left. The mark of its event, which the mail
-- worker writes in the same transaction, is what keeps it single: mails has no unique constraint, and a second one would show.
create table mail_marks (
  source   text not null,
  event_id text not null,
  primary key (source, event_id)
);

create table mails (
  row_number bigint generated always as identity,
  order_id   uuid    not null,
  outcome    text    not null check (outcome in ('confirmed', 'cancelled')),
  version    integer not null
);

-- Append-only, and without any unique constraint on purpose: an effect that happened twice is there twice.
create table effects (
  row_number bigint generated always as identity,
  type       text    not null,
  order_id   uuid    not null,
  version    integer not null
);
