// One event more in the queue of a key, before the event itself is inserted: its number is drawn under this lock. $4 is
// when a queue that begins here is due, in milliseconds from now.
export const queueParkedKey = `
  insert into inbox.parked_keys as known (consumer, topic_id, queue, events, due_at)
  values ($1::text, $2::uuid, $3::uuid, 1, clock_timestamp() + make_interval(secs => $4::float8 / 1000))
  on conflict (consumer, topic_id, queue) do update
     set events = known.events + 1`
