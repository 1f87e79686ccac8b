import { decides } from './end-zombies.js'

// The dedup mark, first statement of an effect's transaction. `inserted` 0 is a duplicate: its effect is there. An
// insert of the same mark that is still open is waited for (primary key of marks), so two consumers of one event take
// turns and order per key survives a zombie. `alive` 0: the server has crashed or failed over since the position was
// read; effects before this event may be gone, so it must not take effect before they do.
export const insertMark = `
  ${decides} select alive, inserted, backend
    from inbox.mark($1::uuid, $2::text, $3::text, $4::uuid, $5::timestamptz)`
