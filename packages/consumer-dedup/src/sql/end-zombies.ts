// Ends transactions that stand idle and hold up the first statement of one of ours: a mark, or a move of a position. They
// belong to a process that has lost its partition and does not know it, because it was paused or its machine was: whoever
// waits for it here has the partition now. A role may end its own backends.
export const endZombies = `
  select pg_terminate_backend(holder.pid) as ended
    from pg_stat_activity waiting
   cross join unnest(pg_blocking_pids(waiting.pid)) as blocking (pid)
    join pg_stat_activity holder on holder.pid = blocking.pid
   where waiting.datname = current_database() and waiting.usename = current_user
     and waiting.wait_event_type = 'Lock' and starts_with(ltrim(waiting.query, E' \\n'), $1::text)
     and holder.usename = current_user and holder.state like 'idle in transaction%'
     and holder.state_change < clock_timestamp() - make_interval(secs => $2::integer / 1000.0)`

/** How the statements begin that may wait for a zombie. */
export const decides = '/* oncebox decides */'
