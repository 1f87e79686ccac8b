import { decides } from './end-zombies.js'

// The started-record of a batch: events up to in_hand are about to be handled. It has to survive this process, not
// the server, so its commit is not waited for (a statement of its own is its own transaction).
export const beginBatch = `
  ${decides} update inbox.positions
     set in_hand = $5::bigint, at = clock_timestamp()
    from (select set_config('synchronous_commit', 'off', true) as commits) quick
   where consumer = $1::text and topic_id = $2::uuid and partition = $3::integer and next = $4::bigint
     and quick.commits = 'off'
     and exists (select from inbox.life where token = $6::uuid)`
