// An attempt has failed; its transaction is rolled back, so this is a statement of its own.
export const failAttempt = `
  insert into inbox.attempts as known (consumer, source, id, topic_id, partition, attempts, code, reason)
  values ($1::text, $2::text, $3::uuid, $4::uuid, $5::integer, 1, $6::text, $7::text)
  on conflict (consumer, source, id) do update
     set attempts = known.attempts + 1, running = false, code = excluded.code, reason = excluded.reason,
         at = clock_timestamp()
  returning attempts, kills`
