// Takes the first event of a key that is due, for as long as the lease. Keys that are locked are left alone: their first
// event runs. An event that is still `retrying`, with a lease that has run out, was left by a process that died with it in
// hand, perhaps over another one: it is suspect, and runs alone from now on. A process that died while it ran alone is a
// kill, unless it is this one ($4), which could not say that it had given it up. What comes back is what was updated, so
// nothing is older than the lock. Nothing comes back when somebody else was faster; the key then steps aside for a second,
// so that it does not stand before others.
export const claimParked = `
  with due as (
         select consumer, topic_id, queue
           from inbox.parked_keys
          where consumer = $1::text and due_at <= clock_timestamp()
          order by due_at
          limit 1
            for update skip locked),
       head as (
         select first.number
           from due cross join lateral (
                  select number
                    from inbox.parked
                   where consumer = due.consumer and topic_id = due.topic_id and queue = due.queue
                     and state in ('parked', 'retrying')
                   order by number
                   limit 1) first),
       taken as (
         update inbox.parked event
            set state = 'retrying', holder = $2::uuid,
                lease_until = clock_timestamp() + make_interval(secs => $3::float8 / 1000),
                kills = event.kills + case when event.state = 'retrying' and event.alone_in <> $4::uuid then 1 else 0 end,
                suspect = event.suspect or event.state = 'retrying', alone_in = null
           from head
          where event.number = head.number
            and (event.state = 'parked' or event.state = 'retrying' and event.lease_until <= clock_timestamp())
         returning event.*),
       leased as (
         update inbox.parked_keys held
            set due_at = coalesce((select lease_until from taken), clock_timestamp() + interval '1 second')
           from due
          where held.consumer = due.consumer and held.topic_id = due.topic_id and held.queue = due.queue)
  select number::text as number, topic, topic_id::text as topic_id, partition, "offset"::text as offset, record_at, key,
         headers, payload, attempts, kills, retries, suspect, queue::text as queue
    from taken`
