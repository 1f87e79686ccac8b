import { decides } from './end-zombies.js'

// Compare and set: 0 rows when another member has moved it, when the database was restored, or when the server has
// crashed since the position was read (life token). A row lock alone let a zombie double 50 of 50 effects, and a
// position without the token lost 30 of 100. Never update without both comparisons. Row lock of one primary key.
export const movePosition = `
  ${decides} update inbox.positions
     set next = $5::bigint, in_hand = $6::bigint, at = clock_timestamp()
   where consumer = $1::text and topic_id = $2::uuid and partition = $3::integer and next = $4::bigint
     and exists (select from inbox.life where token = $7::uuid)
  returning pg_backend_pid() as backend`
