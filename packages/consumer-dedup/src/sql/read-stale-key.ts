// A key that is due although an event of it is `retrying` with a lease that has run out: its holder died, or stands still
// with the key locked.
export const readStaleKey = `
  select event.topic_id::text as topic_id, event.queue::text as queue
    from inbox.parked_keys held
    join inbox.parked event using (consumer, topic_id, queue)
   where held.consumer = $1::text and held.due_at <= clock_timestamp()
     and event.state = 'retrying' and event.lease_until <= clock_timestamp()
   order by event.lease_until
   limit 1`
