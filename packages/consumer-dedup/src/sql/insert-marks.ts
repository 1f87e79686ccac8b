import { decides } from './end-zombies.js'

// The dedup marks of a batch, first statement of its transaction. Those that come back are new; of an id that is twice in
// the batch one comes back. In the order of the batch, which is the order in which everybody takes them: two consumers of
// overlapping batches of one partition wait for each other, in a line. `alive` as in insertMark.
export const insertMarks = `
  ${decides} with life as (select 1 from inbox.life where token = $1::uuid),
       mark as (
         insert into inbox.marks (consumer, source, id, event_at)
         select $2::text, one.source, one.id, one.event_at
           from life, unnest($3::text[], $4::uuid[], $5::timestamptz[]) with ordinality
                        as one (source, id, event_at, place)
          order by one.place
         on conflict do nothing
         returning source, id)
  select (select count(*) from life)::int as alive,
         (select count(*) from mark)::int as inserted,
         case when (select count(*) from mark) < cardinality($4::uuid[])
              then (select coalesce(array_agg(source), '{}') from mark) end as sources,
         case when (select count(*) from mark) < cardinality($4::uuid[])
              then (select coalesce(array_agg(id::text), '{}') from mark) end as ids,
         pg_backend_pid() as backend`
