// What of a consumer waits, and how much of it is due. Index parked_keys_due.
export const readParking = `
  select count(*)::int as keys, coalesce(sum(events), 0)::int as events,
         count(*) filter (where due_at <= clock_timestamp())::int as due,
         ceil(extract(epoch from min(due_at) filter (where due_at > clock_timestamp()) - clock_timestamp()) * 1000)::float8
           as next_ms
    from inbox.parked_keys
   where consumer = $1::text`
