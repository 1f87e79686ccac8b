-- The notification service's own table. A row stands for a mail that left; the dedup mark that oncebox writes in the
-- same transaction is what keeps it single, so the table needs no unique constraint, and a second mail would show.
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
