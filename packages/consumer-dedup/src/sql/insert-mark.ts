import { decides } from './end-zombies.js'

// The dedup mark, first statement of an effect's transaction. `inserted` 0 is a duplicate: its effect is there. An
// insert of the same mark that is still open is waited for (primary key of marks), so two consumers of one event take
// turns and order per key survives a zombie. `alive` 0: the server has crashed or failed over since the position was
// read; effects before this event may be gone, so it must not take effect before they do.
export const insertMark = `
  ${decides} select alive, inserted, backend
    from inbox.mark($1::uuid, $2::text, $3::text, $4::uuid, $5::timestamptz)`

/** The same, where the server keeps the plan of the statement itself. No row: it is a duplicate, or the server has crashed. */
export const insertMarkInPlace = `
  ${decides} insert into inbox.marks (consumer, source, id, event_at)
  select $2::text, $3::text, $4::uuid, $5::timestamptz
    from inbox.life where token = $1::uuid
  on conflict do nothing
  returning 1 as alive, 1 as inserted, pg_backend_pid() as backend`
