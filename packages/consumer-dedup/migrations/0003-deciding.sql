-- The statements that decide, first in the transaction of an effect, as functions: the server keeps their plans in each of its
-- processes, which saves half of their time, and works behind a pooler, too, where prepared statements do not.

-- The dedup mark. alive 0: the server has crashed or failed over since the life token was read; nothing is inserted then.
create function inbox.mark(
  given_token uuid, given_consumer text, given_source text, given_id uuid, given_event_at timestamptz,
  out alive integer, out inserted integer, out backend integer
) language plpgsql as $$
begin
  backend := pg_backend_pid();
  inserted := 0;
  perform from inbox.life where token = given_token;
  alive := found::integer;
  if alive = 1 then
    insert into inbox.marks (consumer, source, id, event_at)
    values (given_consumer, given_source, given_id, given_event_at)
    on conflict do nothing;
    inserted := found::integer;
  end if;
end
$$;

-- The position, by compare and set. Null when it is not what was expected, or the life token is gone.
create function inbox.move_position(
  given_consumer text, given_topic_id uuid, given_partition integer, expected bigint, given_next bigint,
  given_in_hand bigint, given_token uuid,
  out backend integer
) language plpgsql as $$
begin
  update inbox.positions
     set next = given_next, in_hand = given_in_hand, at = clock_timestamp()
   where consumer = given_consumer and topic_id = given_topic_id and partition = given_partition
     and next = expected and exists (select from inbox.life where token = given_token);
  if found then
    backend := pg_backend_pid();
  end if;
end
$$;

insert into inbox.grants (grantee, privilege) values
  ('consumer', 'execute on function inbox.mark(uuid, text, text, uuid, timestamptz), inbox.move_position(text, uuid, integer, bigint, bigint, bigint, uuid)');

revoke all on all functions in schema inbox from public;

insert into inbox.migrations (number, name) values (3, 'deciding');
