-- Dedup marks are kept for a window, and emptied by whole days: see docs/adr/0015.
--
-- A day is emptied when every consumer has come so far that the day is behind its window. From then on the day refuses the
-- marks of those consumers: an event of it can never run twice, whatever brought it back. Only the time inside a UUID v7 is
-- the same in every copy of an event; marks of other ids have no time, and stay.

-- Whoever has marks, and for how long they are kept. Null: nobody has said so, and everything stays. by_clock: not a consumer
-- of ours, with positions, but somebody with a way of its own.
create table inbox.windows (
  consumer  text        primary key,
  window_ms bigint      check (window_ms > 0),
  by_clock  boolean     not null default false,
  at        timestamptz not null default clock_timestamp()
);

-- The low-water mark of a partition: events of this time and later may still come for the first time, in its order.
alter table inbox.positions add column low_at timestamptz;

-- The days. emptied_for: the consumers whose marks it refuses.
create table inbox.mark_days (
  relation    name        primary key,
  from_at     timestamptz not null,
  to_at       timestamptz not null check (to_at > from_at),
  emptied_at  timestamptz,
  emptied_for text[]      not null default '{}'
);

-- One look at the index each.
insert into inbox.windows (consumer)
with recursive found (consumer) as (
       select min(consumer) from inbox.marks
       union all
       select (select min(m.consumer) from inbox.marks m where m.consumer > found.consumer)
         from found
        where found.consumer is not null)
select consumer from found where consumer is not null;

do $$
declare
  first  constant timestamptz := '1970-01-02 00:00:00+00';
  bound  constant timestamptz := date_trunc('day', clock_timestamp(), 'UTC') + interval '24 hours';
begin
  alter table inbox.marks detach partition inbox.marks_default;
  alter table inbox.marks_default rename to marks_before;
  create table inbox.marks_default partition of inbox.marks default;
  execute format('create table inbox.marks_untimed partition of inbox.marks for values from (minvalue) to (%L)', first);
  with moved as (
         delete from inbox.marks_before
          where event_at < first or event_at >= bound or substr(id::text, 15, 1) <> '7'
         returning consumer, source, id, event_at)
  insert into inbox.marks (consumer, source, id, event_at)
  select consumer, source, id,
         case substr(id::text, 15, 1) when '7' then event_at else timestamptz '1970-01-01 00:00:00+00' end
    from moved
      on conflict do nothing;
  execute format('alter table inbox.marks attach partition inbox.marks_before for values from (%L) to (%L)', first, bound);
  insert into inbox.mark_days (relation, from_at, to_at) values ('marks_before', first, bound);
end
$$;

-- Makes the days to come, and empties those behind all windows. Waits for nobody: what somebody uses at this moment is left
-- for the next call. The owner's rights: a consumer needs none on the tables.
create function inbox.keep_marks(
  out horizon timestamptz, out held_by text, out held_topic text, out made integer, out emptied integer, out oldest timestamptz
) language plpgsql security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  today     constant timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
  consumers text[];
  from_day  timestamptz;
  to_day    timestamptz;
  day       record;
  leaf      text;
  owner     text;
  is_known  boolean;
begin
  made := 0;
  emptied := 0;
  -- One process at a time.
  if not pg_try_advisory_xact_lock(hashtextextended('oncebox:inbox:marks', 0)) then
    return;
  end if;

  loop
    select max(to_at) into from_day from inbox.mark_days;
    exit when from_day >= today + interval '72 hours' or made >= 100;
    -- When nobody was there for long, the days until now are one.
    to_day := case when from_day < today - interval '720 hours' then today else from_day + interval '24 hours' end;
    begin
      lock table only inbox.marks_default in access exclusive mode nowait;
    exception when lock_not_available then
      exit;
    end;
    leaf := 'marks_' || to_char(from_day at time zone 'UTC', 'YYYYMMDD');
    execute format('create table inbox.%I (like inbox.marks including constraints including indexes)', leaf);
    execute format('revoke all on inbox.%I from public', leaf);
    execute format(
      'with moved as (delete from inbox.marks_default where event_at >= %L and event_at < %L returning consumer, source, id, event_at)
       insert into inbox.%I (consumer, source, id, event_at) select consumer, source, id, event_at from moved', from_day, to_day, leaf);
    -- Not `create table … partition of`, which locks out everybody: this one lets them write.
    execute format('alter table inbox.marks attach partition inbox.%I for values from (%L) to (%L)', leaf, from_day, to_day);
    insert into inbox.mark_days (relation, from_at, to_at) values (leaf, from_day, to_day);
    made := made + 1;
  end loop;

  -- How far the last of all is, its window before that. Of a topic that was created again the newest counts. Who has no position
  -- yet may be about to begin anywhere.
  with topics as (
         select distinct on (consumer, topic) consumer, topic, topic_id
           from inbox.positions
          order by consumer, topic, at desc),
       lows as (
         select w.consumer, p.topic,
                case when w.by_clock then clock_timestamp() else p.low_at end - make_interval(secs => w.window_ms / 1000.0) as low
           from inbox.windows w
           left join topics t on t.consumer = w.consumer and not w.by_clock
           left join inbox.positions p on p.consumer = t.consumer and p.topic = t.topic and p.topic_id = t.topic_id)
  select lows.low, lows.consumer, lows.topic into horizon, held_by, held_topic
    from lows
   order by lows.low nulls first
   limit 1;

  select coalesce(array_agg(w.consumer order by w.consumer), '{}') into consumers from inbox.windows w;
  for day in
    select d.relation from inbox.mark_days d
     where d.to_at <= horizon and not d.emptied_for @> consumers
     order by d.to_at
     limit 100
  loop
    begin
      execute format('lock table only inbox.%I in access exclusive mode nowait', day.relation);
    exception when lock_not_available then
      continue;
    end;
    -- Nobody's marks go who did not say that they may: one look at the index for each owner of marks.
    is_known := true;
    execute format('select min(consumer) from inbox.%I', day.relation) into owner;
    while owner is not null loop
      if not owner = any(consumers) then
        insert into inbox.windows (consumer) values (owner) on conflict do nothing;
        is_known := false;
      end if;
      execute format('select min(consumer) from inbox.%I where consumer > $1', day.relation) into owner using owner;
    end loop;
    exit when not is_known;
    execute format('truncate only inbox.%I', day.relation);
    execute format('alter table inbox.%I drop constraint if exists marks_emptied', day.relation);
    execute format('alter table inbox.%I add constraint marks_emptied check (consumer <> all (%L::text[]))', day.relation, consumers);
    update inbox.mark_days set emptied_at = clock_timestamp(), emptied_for = consumers where relation = day.relation;
    emptied := emptied + 1;
  end loop;
  select min(d.to_at) - interval '24 hours' into oldest from inbox.mark_days d where not d.emptied_for @> consumers;
end
$$;

insert into inbox.grants (grantee, privilege) values
  ('consumer', 'select, insert, update on inbox.windows'),
  ('consumer', 'select on inbox.mark_days'),
  ('consumer', 'execute on function inbox.keep_marks()');

revoke all on inbox.windows, inbox.mark_days, inbox.marks_default, inbox.marks_untimed, inbox.marks_before from public;
revoke all on function inbox.keep_marks() from public;

insert into inbox.migrations (number, name) values (7, 'marks-window');
