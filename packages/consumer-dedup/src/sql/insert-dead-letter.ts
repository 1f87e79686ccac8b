// A dead letter with its full copy, in the transaction that inserts its dedup mark. A row that is there already waited
// in the queue of its key, or is the dead letter of a mark that housekeeping has pruned since: it is brought up to date.
export const insertDeadLetter = `
  insert into inbox.parked (consumer, source, id, event_id, state, type, topic, topic_id, partition, "offset",
                            record_at, event_at, key, headers, payload, attempts, kills, code, reason, stack)
  values ($1::text, $2::text, $3::uuid, $4::text, 'dead', $5::text, $6::text, $7::uuid, $8::integer, $9::bigint,
          $10::timestamptz, $11::timestamptz, $12::bytea, $13::jsonb, $14::bytea, $15::integer, $16::integer,
          $17::text, $18::text, $19::text)
  on conflict on constraint parked_event do update
     set state = 'dead', attempts = excluded.attempts, kills = excluded.kills, code = excluded.code,
         reason = excluded.reason, stack = excluded.stack, holder = null, lease_until = null,
         suspect = false, alone_in = null,
         replay = false, parked_at = clock_timestamp(), finished_at = null`
