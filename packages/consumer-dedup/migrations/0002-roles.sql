-- Who may look at an inbox, and that nobody has anything by default.

-- Gives a role what it takes to look: at positions, attempts and parked events with their payloads. It changes nothing.
create function inbox.grant_reader(role name) returns void
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('grant usage on schema inbox to %I', role);
  execute format('grant select on all tables in schema inbox to %I', role);
end
$$;

-- Whatever default privileges the database gives to new objects.
revoke all on schema inbox from public;
revoke all on all tables in schema inbox from public;
revoke all on all sequences in schema inbox from public;
revoke all on all functions in schema inbox from public;

insert into inbox.migrations (number, name) values (2, 'roles');
