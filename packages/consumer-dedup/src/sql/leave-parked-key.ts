// One event less in the queue of a key, with the key locked: the next one is due at once, and an empty queue goes away.
export const leaveParkedKey = `
  with gone as (
         delete from inbox.parked_keys
          where consumer = $1::text and topic_id = $2::uuid and queue = $3::uuid and events = 1)
  update inbox.parked_keys
     set events = events - 1, due_at = clock_timestamp()
   where consumer = $1::text and topic_id = $2::uuid and queue = $3::uuid and events > 1`
