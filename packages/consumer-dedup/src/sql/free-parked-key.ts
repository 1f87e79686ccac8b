import { waitsForKey } from './lock-parked-keys.js'

const frees = '/* oncebox frees a key */'

// Waits for a key whose holder has let its lease run out, no longer than $4.
export const freeParkedKey = `
  ${frees} select 1 as free
    from (select set_config('lock_timeout', $4::text, true) as lock_timeout) bound
    join inbox.parked_keys held on bound.lock_timeout is not null
   where held.consumer = $1::text and held.topic_id = $2::uuid and held.queue = $3::uuid
     for update of held`

// Ends transactions that stand idle and hold up such a wait, also where an event that arrived waits for the key before it.
// Others that the holder itself waits for are not followed: they may be whose turn it is. A role may end its own backends.
export const endStaleHolders = `
  with recursive held_up (pid) as (
         select pid
           from pg_stat_activity
          where datname = current_database() and usename = current_user and wait_event_type = 'Lock'
            and starts_with(ltrim(query, E' \\n'), '${frees}')
          union
         select waiting.pid
           from held_up cross join unnest(pg_blocking_pids(held_up.pid)) as blocking (pid)
           join pg_stat_activity waiting on waiting.pid = blocking.pid
          where waiting.wait_event_type = 'Lock' and starts_with(ltrim(waiting.query, E' \\n'), '${waitsForKey}'))
  select pg_terminate_backend(holder.pid) as ended
    from (select distinct blocking.pid
            from held_up cross join unnest(pg_blocking_pids(held_up.pid)) as blocking (pid)) blocking
    join pg_stat_activity holder on holder.pid = blocking.pid
   where holder.usename = current_user and holder.state like 'idle in transaction%'
     and holder.state_change < clock_timestamp() - make_interval(secs => $1::float8 / 1000)`
