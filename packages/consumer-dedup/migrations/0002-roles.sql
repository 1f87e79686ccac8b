-- Who may look at an inbox, and that nobody has anything by default.

-- Gives a role what it takes to look: at positions, attempts and parked events with their payloads. It changes nothing.
create function inbox.grant_reader(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select inbox.grant_to('reader', role) $$;

insert into inbox.grants (grantee, privilege) values
  ('reader', 'select on all tables in schema inbox');

-- Whatever default privileges the database gives to new objects.
revoke all on schema inbox from public;
revoke all on all tables in schema inbox from public;
revoke all on all sequences in schema inbox from public;
revoke all on all functions in schema inbox from public;

insert into inbox.migrations (number, name) values (2, 'roles');
