-- The payment service's own tables: money moves from an account to a payment, and back when it is refunded.
create table accounts (
  customer_id   text    primary key,
  initial_cents bigint  not null,
  balance_cents bigint  not null check (balance_cents >= 0)
);

create table payments (
  order_id    uuid    primary key,
  customer_id text    not null references accounts,
  cents       integer not null check (cents > 0),
  state       text    not null check (state in ('captured', 'declined', 'refunded')),
  version     integer not null
);

-- Append-only, and without any unique constraint on purpose: an effect that happened twice is there twice.
create table effects (
  row_number bigint generated always as identity,
  type       text    not null,
  order_id   uuid    not null,
  version    integer not null
);
