import { decides } from './end-zombies.js'

// Whether the copy of an event in a retry topic is still to be handled: the delete decides, and is waited for like a mark. `alive`
// as in insertMark. Row lock of one primary key.
export const takeRetry = `
  ${decides} with life as (select from inbox.life where token = $1::uuid),
       taken as (
         delete from inbox.retries
          where consumer = $2::text and topic_id = $3::uuid and partition = $4::integer and "offset" = $5::bigint
            and tier = $6::integer and exists (select from life)
         returning 1)
  select (select count(*) from life)::int as alive, (select count(*) from taken)::int as taken,
         pg_backend_pid() as backend`
