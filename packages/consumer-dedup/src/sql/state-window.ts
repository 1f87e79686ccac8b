// For how long the marks of a consumer are kept, before it inserts its first one. $3: it has no positions. A name that both kinds
// have is a consumer's.
export const stateWindow = `
  insert into inbox.windows as known (consumer, window_ms, by_clock)
  values ($1::text, $2::bigint, $3::boolean)
  on conflict (consumer) do update
     set window_ms = excluded.window_ms, by_clock = excluded.by_clock, at = clock_timestamp()
   where (known.window_ms, known.by_clock) is distinct from (excluded.window_ms, excluded.by_clock)
     and (known.by_clock or known.window_ms is null or not excluded.by_clock)`
