-- The order service's own tables. `version` goes up by one with each change of state, under the row's lock; each
-- version is told in one event, so the rows alone say which events must exist.
create table orders (
  id          uuid        primary key,
  customer_id text        not null,
  sku         text        not null,
  quantity    integer     not null check (quantity > 0),
  total_cents integer     not null check (total_cents > 0),
  state       text        not null check (state in ('placed', 'paid', 'confirmed', 'cancelled')),
  reason      text        check (reason in ('declined', 'out-of-stock')),
  version     integer     not null,
  refunded    boolean     not null default false,
  mailed      boolean     not null default false,
  placed_at   timestamptz not null default now()
);

-- Append-only, and without any unique constraint on purpose: an effect that happened twice is there twice.
create table effects (
  row_number bigint generated always as identity,
  type       text    not null,
  order_id   uuid    not null,
  version    integer not null
);
