import { decides } from './end-zombies.js'

// Compare and set: null when another member has moved it, when the database was restored, or when the server has
// crashed since the position was read (life token). A row lock alone let a zombie double 50 of 50 effects, and a
// position without the token lost 30 of 100. Never update without both comparisons. Row lock of one primary key.
export const movePosition = `
  ${decides} select backend
    from inbox.move_position($1::text, $2::uuid, $3::integer, $4::bigint, $5::bigint, $6::bigint, $7::uuid)`

/** The same, where the server keeps the plan of the statement itself. */
export const movePositionInPlace = `
  ${decides} update inbox.positions
     set next = $5::bigint, in_hand = $6::bigint, at = clock_timestamp()
   where consumer = $1::text and topic_id = $2::uuid and partition = $3::integer
     and next = $4::bigint and exists (select from inbox.life where token = $7::uuid)
  returning pg_backend_pid() as backend`

/**
 * The same as a statement of its own, whose commit is not waited for: of the effects before it none depends on it, and a position that
 * is lost with a crash is an older one, never a newer one than the marks.
 */
export const movePositionLater = `
  ${decides} select moved.backend
    from (select set_config('synchronous_commit', 'off', true) as commits) quick
   cross join lateral inbox.move_position($1::text, $2::uuid, $3::integer, $4::bigint, $5::bigint, $6::bigint, $7::uuid) moved
   where quick.commits = 'off'`
