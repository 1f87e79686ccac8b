// An event is about to be run alone, in process $6. A row that still says running was left by a process that died over it:
// a kill. One that this process left itself, when it could not say so, is none: it lives.
// The commit is not waited for: the record has to survive this process, not the server.
export const startAlone = `
  insert into inbox.attempts as known (consumer, source, id, topic_id, partition, running, alone_in)
  select $1::text, $2::text, $3::uuid, $4::uuid, $5::integer, true, $6::uuid
    from (select set_config('synchronous_commit', 'off', true) as commits) quick
   where quick.commits = 'off'
  on conflict (consumer, source, id) do update
     set kills = known.kills + case when known.running and known.alone_in is distinct from $6::uuid then 1 else 0 end,
         running = true, alone_in = $6::uuid, at = clock_timestamp()
  returning attempts, kills`
