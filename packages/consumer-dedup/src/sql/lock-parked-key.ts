import { decides } from './end-zombies.js'

// First statement of the transaction that runs the first event of a key: events of it that arrive wait until it has ended.
export const lockParkedKey = `
  ${decides} select pg_backend_pid() as backend
    from inbox.parked_keys
   where consumer = $1::text and topic_id = $2::uuid and queue = $3::uuid
     for update`
