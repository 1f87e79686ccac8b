import { decides } from './end-zombies.js'

// Of an event whose mark is refused: whether it is a dead letter already, as it was or as somebody has replayed it since.
// `alive` as in insertMark.
export const decideUnmarked = `
  ${decides} select (select count(*) from inbox.life where token = $1::uuid)::int as alive,
         exists (select from inbox.parked
                  where consumer = $2::text and source = $3::text and id = $4::uuid
                    and topic_id = $5::uuid and partition = $6::integer and "offset" = $7::bigint) as known,
         pg_backend_pid() as backend`
