import { decides } from './end-zombies.js'

// Compare and set: null when another member has moved it, when the database was restored, or when the server has
// crashed since the position was read (life token). A row lock alone let a zombie double 50 of 50 effects, and a
// position without the token lost 30 of 100. Never update without both comparisons. Row lock of one primary key.
export const movePosition = `
  ${decides} select backend
    from inbox.move_position($1::text, $2::uuid, $3::integer, $4::bigint, $5::bigint, $6::bigint, $7::uuid)`
