// The holder of an event lives. The key's row is locked by its transaction, so the lease is on the event.
export const renewParked = `
  update inbox.parked
     set lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000)
   where number = $1::bigint and holder = $2::uuid`
