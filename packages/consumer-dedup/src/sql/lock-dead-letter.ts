// One dead letter to replay. The row lock makes concurrent replays take turns; the second finds another state.
export const lockDeadLetter = `
  select number::text as number, topic, topic_id::text as topic_id, partition, "offset"::text as offset, record_at, key,
         headers, payload, attempts
    from inbox.parked
   where consumer = $1::text and event_id = $2::text and state = 'dead'
   order by number
   limit 1
     for update`
