// An event is sent on, in the transaction that sends it. A row that is there is of the same event, which was handled anew from
// an older position: the copy that goes out now is the one that counts.
export const insertRetry = `
  insert into inbox.retries (consumer, topic_id, partition, "offset", topic, event_id, tier, due_at)
  values ($1::text, $2::uuid, $3::integer, $4::bigint, $5::text, $6::text, $7::integer, $8::timestamptz)
  on conflict (consumer, topic_id, partition, "offset") do update
     set tier = excluded.tier, due_at = excluded.due_at`
