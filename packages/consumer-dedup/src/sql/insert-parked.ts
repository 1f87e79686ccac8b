// An event that waits, with its full copy, in the transaction of its mark or position. A row that was
// finished, whose mark has been pruned since, waits again behind those that came meanwhile; one that waits already stays.
export const insertParked = `
  insert into inbox.parked as known (consumer, source, id, event_id, state, type, topic, topic_id, partition, "offset",
                            record_at, event_at, key, headers, payload, attempts, kills, code, reason, stack, queue)
  values ($1::text, $2::text, $3::uuid, $4::text, 'parked', $5::text, $6::text, $7::uuid, $8::integer, $9::bigint,
          $10::timestamptz, $11::timestamptz, $12::bytea, $13::jsonb, $14::bytea, $15::integer, $16::integer,
          $17::text, $18::text, $19::text, $20::uuid)
  on conflict on constraint parked_event do update
     set state = 'parked', number = default, attempts = excluded.attempts, kills = excluded.kills, code = excluded.code,
         reason = excluded.reason, stack = excluded.stack, queue = excluded.queue, retries = 0, holder = null,
         lease_until = null, suspect = false, alone_in = null, replay = false, parked_at = clock_timestamp(), finished_at = null
   where known.state not in ('parked', 'retrying')`
