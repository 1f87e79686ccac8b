-- Events that cannot be published are set aside, so that the others flow on: a full copy each, and what became of it.
--
-- Insert-only, as the whole schema. Which of two relays may write is decided by the epoch of the shard: each write is one
-- call of a function that takes the shard's advisory lock (shared), looks at the epoch in a statement of its own, and
-- only then inserts. A claim takes the lock exclusively before it raises the epoch, so a holder that was paused cannot
-- set an event aside after the next one has published it.

drop table outbox.dead_letters; -- was never written

create table outbox.dead_letters (
  -- The order in which they were set aside, which is the order within a queue.
  number      bigint      primary key generated always as identity,
  -- By seq, not by event id: each row of outbox.events is an event of its own to the relay, also where a writer has used
  -- an id twice.
  seq         bigint      not null unique,
  txid        xid8        not null,
  shard       smallint    not null,
  epoch       bigint      not null,
  bucket      smallint    not null,
  id          uuid        not null,
  source      text        not null,
  topic       text        not null,
  type        text        not null,
  key         text,
  partition   integer,
  headers     jsonb,
  payload     bytea,
  occurred_at timestamptz not null,
  -- Whether its key is parked because of it, or was parked before it came.
  parks_key   boolean     not null,
  -- Letters that must keep their order: those of one parked key. A digest, since a key may be longer than an index takes;
  -- a letter that parks no key has a queue to itself.
  queue       bytea       not null,
  -- `dead`: it was refused. `parked`: it was not tried, since its key is parked.
  state       text        not null,
  code        text,
  reason      text,
  at          timestamptz not null default clock_timestamp(),
  constraint dead_letters_state check (state in ('dead', 'parked') and (state = 'parked' or code is not null))
);
create index dead_letters_queue on outbox.dead_letters (queue, number);
create index dead_letters_id on outbox.dead_letters (id);
alter table outbox.dead_letters alter column payload set storage external;

-- What a person asks for. Taken by the relay of the letter's shard, in this order.
create table outbox.dead_letter_actions (
  number       bigint      primary key generated always as identity,
  letter       bigint      not null,
  action       text        not null,
  requested_by text        not null default session_user,
  at           timestamptz not null default clock_timestamp(),
  constraint dead_letter_actions_action check (action in ('requeue', 'discard'))
);
create index dead_letter_actions_letter on outbox.dead_letter_actions (letter, number);

-- What became of a letter. `published` and `discarded` end it; `failed` is a refusal after it was tried again.
create table outbox.dead_letter_results (
  number  bigint      primary key generated always as identity,
  letter  bigint      not null,
  outcome text        not null,
  -- The newest action that was looked at.
  action  bigint      not null,
  code    text,
  reason  text,
  shard   smallint    not null,
  epoch   bigint      not null,
  at      timestamptz not null default clock_timestamp(),
  constraint dead_letter_results_outcome check (outcome in ('published', 'discarded', 'failed'))
);
create unique index dead_letter_results_end on outbox.dead_letter_results (letter) where outcome <> 'failed';
create index dead_letter_results_letter on outbox.dead_letter_results (letter, number);

-- Where each letter stands: `dead` waits for a person, `parked` for the letters before it, `requested` for the relay;
-- `published` and `discarded` are the end.
create view outbox.dead_letter_status as
select l.number,
       case when ended.outcome is not null then ended.outcome
            when asked.number > coalesce(failed.action, 0) then 'requested'
            when l.state = 'dead' or failed.number is not null then 'dead'
            else 'parked' end as state,
       coalesce(failed.code, l.code) as code,
       coalesce(failed.reason, l.reason) as reason,
       coalesce(asked.number, 0) as asked,
       coalesce(failed.action, 0) as failed,
       ended.at as ended_at
  from outbox.dead_letters l
  left join outbox.dead_letter_results ended on ended.letter = l.number and ended.outcome <> 'failed'
  left join lateral (select r.number, r.action, r.code, r.reason from outbox.dead_letter_results r
                      where r.letter = l.number and r.outcome = 'failed'
                      order by r.number desc limit 1) failed on true
  left join lateral (select a.number from outbox.dead_letter_actions a
                      where a.letter = l.number order by a.number desc limit 1) asked on true;

-- Whether the caller may write for the shard: `holds`, or why not. 1869505381 is the class of the advisory locks on
-- shards; held until the transaction ends. The life token tells that this is the server that the caller has read from.
create function outbox.holder(of_shard smallint, of_epoch bigint, of_life uuid) returns text
  language plpgsql volatile
  set search_path = pg_catalog, pg_temp
as $$
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'outbox.holder: the isolation level must be read committed, it is %', current_setting('transaction_isolation');
  end if;
  perform pg_advisory_xact_lock_shared(1869505381, of_shard);
  -- A statement of its own: it must see what the lock waited for.
  if of_epoch is distinct from (select max(c.epoch) from outbox.claims c where c.shard = of_shard) then
    return 'fenced';
  end if;
  if not exists (select from outbox.life l where l.token = of_life) then
    return 'life ended';
  end if;
  -- Durable when it is answered, whatever the session is set to.
  perform set_config('synchronous_commit', 'on', true);
  return 'holds';
end
$$;

-- Copies events to the dead letters; those that are there already stay as they are. `codes` null: not refused, its key is
-- parked. Walks the indexes on seq: statistics are always wrong after TRUNCATE.
create function outbox.set_aside(
  of_shard smallint, of_epoch bigint, of_life uuid,
  seqs bigint[], ids uuid[], parking boolean[], codes text[], reasons text[]
) returns text
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
  set enable_seqscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set jit = off
as $$
declare
  holder text := outbox.holder(of_shard, of_epoch, of_life);
  found_events bigint;
begin
  if holder <> 'holds' then return holder; end if;
  insert into outbox.dead_letters (seq, txid, shard, epoch, bucket, id, source, topic, type, key, partition, headers,
                                   payload, occurred_at, parks_key, queue, state, code, reason)
  select e.seq, e.txid, of_shard, of_epoch, e.bucket, e.id, e.source, e.topic, e.type, e.key, e.partition, e.headers,
         e.payload, e.occurred_at, p.parks,
         case when p.parks then sha256(convert_to(e.topic, 'UTF8') || '\x00' || convert_to(e.key, 'UTF8'))
              else int8send(e.seq) end,
         case when s.code is null then 'parked' else 'dead' end, s.code, s.reason
    from unnest(seqs, ids, parking, codes, reasons) with ordinality as s(seq, id, parking, code, reason, place)
    join outbox.events e on e.seq = s.seq and e.id = s.id
   cross join lateral (select s.parking and e.key is not null as parks) p
   order by s.place
      on conflict (seq) do nothing;
  -- Nothing is passed over without a letter.
  select count(*) into found_events from outbox.dead_letters l join unnest(seqs, ids) as s(seq, id) on l.seq = s.seq and l.id = s.id;
  if found_events <> cardinality(seqs) then
    raise exception 'outbox.set_aside: % of % events are not in outbox.events', cardinality(seqs) - found_events, cardinality(seqs);
  end if;
  return holder;
end
$$;

-- Records what became of letters; one that has ended stays as it is.
create function outbox.settle_dead_letters(
  of_shard smallint, of_epoch bigint, of_life uuid,
  result text, letters bigint[], actions bigint[], codes text[], reasons text[]
) returns text
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  holder text := outbox.holder(of_shard, of_epoch, of_life);
begin
  if holder <> 'holds' then return holder; end if;
  insert into outbox.dead_letter_results (letter, outcome, action, code, reason, shard, epoch)
  select s.letter, result, coalesce(s.action, 0), s.code, s.reason, of_shard, of_epoch
    from unnest(letters, actions, codes, reasons) as s(letter, action, code, reason)
   where not exists (select from outbox.dead_letter_results r where r.letter = s.letter and r.outcome <> 'failed')
      on conflict do nothing;
  return holder;
end
$$;

-- Asks the relay to publish letters again, or to drop them for good; returns how many were not ended yet. The lock lets
-- the numbers of actions rise in the order of their commits, so that a relay that reads on from a number misses none;
-- readers do not wait for it.
create function outbox.request_dead_letters(wanted text, letters bigint[]) returns bigint
  language plpgsql volatile security definer
  set search_path = pg_catalog, pg_temp
as $$
declare
  asked bigint;
begin
  lock table outbox.dead_letter_actions in share row exclusive mode;
  insert into outbox.dead_letter_actions (letter, action, requested_by)
  select l.number, wanted, session_user
    from outbox.dead_letters l
   where l.number = any (letters)
     and not exists (select from outbox.dead_letter_results r where r.letter = l.number and r.outcome <> 'failed')
   order by l.number;
  get diagnostics asked = row_count;
  return asked;
end
$$;

-- For the person who runs oncebox dead-letters: sees dead letters with their payloads, and asks for what is to be done.
create function outbox.grant_dead_letters(role name) returns void
  language sql set search_path = pg_catalog, pg_temp
  as $$ select outbox.grant_to('support', role) $$;

insert into outbox.grants (grantee, privilege) values
  -- Written through functions only, which look at the epoch of the shard.
  ('relay', 'execute on function outbox.set_aside(smallint, bigint, uuid, bigint[], uuid[], boolean[], text[], text[]), outbox.settle_dead_letters(smallint, bigint, uuid, text, bigint[], bigint[], text[], text[])'),
  ('support', 'select on outbox.migrations, outbox.dead_letters, outbox.dead_letter_actions, outbox.dead_letter_results, outbox.dead_letter_status'),
  ('support', 'execute on function outbox.request_dead_letters(text, bigint[])');

revoke execute on function outbox.holder(smallint, bigint, uuid), outbox.set_aside(smallint, bigint, uuid, bigint[], uuid[], boolean[], text[], text[]), outbox.settle_dead_letters(smallint, bigint, uuid, text, bigint[], bigint[], text[], text[]), outbox.request_dead_letters(text, bigint[]), outbox.grant_dead_letters(name) from public;

insert into outbox.migrations (number, name) values (3, 'dead-letters');
