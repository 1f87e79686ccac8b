// A run from the queue has failed and was rolled back: the key waits for its next delay. $3 is 1, or 0 for a run that
// counts as none, and proves nothing of an event that is suspect; a cause that is null leaves the one before.
export const failParked = `
  with failed as (
         update inbox.parked
            set state = 'parked', holder = null, lease_until = null, alone_in = null,
                suspect = suspect and $3::integer = 0, attempts = attempts + $3::integer, retries = retries + $3::integer,
                code = coalesce($5::text, code), reason = coalesce($6::text, reason),
                stack = case when $5::text is null then stack else $7::text end
          where number = $1::bigint and holder = $2::uuid
         returning consumer, topic_id, queue)
  update inbox.parked_keys held
     set due_at = clock_timestamp() + make_interval(secs => $4::float8 / 1000)
    from failed
   where held.consumer = failed.consumer and held.topic_id = failed.topic_id and held.queue = failed.queue`
