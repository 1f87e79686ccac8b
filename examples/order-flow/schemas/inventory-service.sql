-- The inventory service's own tables. No check forbids a negative stock: the audit is to see it, not the database.
create table stock (
  sku     text    primary key,
  initial integer not null,
  on_hand integer not null
);

create table reservations (
  order_id uuid    primary key,
  sku      text    not null references stock,
  quantity integer not null check (quantity > 0),
  state    text    not null check (state in ('reserved', 'rejected')),
  version  integer not null
);

-- Append-only, and without any unique constraint on purpose: an effect that happened twice is there twice.
create table effects (
  row_number bigint generated always as identity,
  type       text    not null,
  order_id   uuid    not null,
  version    integer not null
);
