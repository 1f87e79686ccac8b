// An event is about to be run alone. A row that still says running was left by a process that died over it: a kill.
// The commit is not waited for: the record has to survive this process, not the server.
export const startAlone = `
  insert into inbox.attempts as known (consumer, source, id, topic_id, partition, running)
  select $1::text, $2::text, $3::uuid, $4::uuid, $5::integer, true
    from (select set_config('synchronous_commit', 'off', true) as commits) quick
   where quick.commits = 'off'
  on conflict (consumer, source, id) do update
     set kills = known.kills + case when known.running then 1 else 0 end,
         running = true, at = clock_timestamp()
  returning attempts, kills`
