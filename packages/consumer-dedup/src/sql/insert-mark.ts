import { decides } from './end-zombies.js'

// The dedup mark, first statement of an effect's transaction. `inserted` 0 is a duplicate: its effect is there. An
// insert of the same mark that is still open is waited for (primary key of marks), so two consumers of one event take
// turns and order per key survives a zombie. `alive` 0: the server has crashed or failed over since the position was
// read; effects before this event may be gone, so it must not take effect before they do.
export const insertMark = `
  ${decides} with life as (select 1 from inbox.life where token = $1::uuid),
       mark as (
         insert into inbox.marks (consumer, source, id, event_at)
         select $2::text, $3::text, $4::uuid, $5::timestamptz from life
         on conflict do nothing
         returning 1)
  select (select count(*) from life)::int as alive,
         (select count(*) from mark)::int as inserted,
         pg_backend_pid() as backend`
