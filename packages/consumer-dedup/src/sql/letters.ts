// What a person does with the dead letters of a consumer. A selection is letters (numbers, or ids of events), a type and a
// code; what is null selects all.

const isLetter = `(number::text = any($2::text[]) or event_id = any($2::text[]))`

const selected = `consumer = $1::text and state = 'dead' and ($2::text[] is null or ${isLetter})
     and ($3::text is null or type = $3::text) and ($4::text is null or code = $4::text)`

export const listLetters = `
  select number::text as number, state, event_id as id, source, type, topic, partition, "offset"::text as offset, key,
         attempts, kills, code, reason, stack, parked_at as "parkedAt", headers, payload
    from inbox.parked
   where consumer = $1::text and ($2::text[] is null or ${isLetter}) and state = any($3::text[])
     and number > $4::bigint
   order by parked.number
   limit $5::integer`

export const countLetters = `
  select type, code, count(*)::int as letters from inbox.parked where ${selected} group by type, code order by 3 desc, 1, 2`

export const takeLetters = `
  select number::text as number, topic_id::text as topic_id, partition, "offset"::text as offset, key
    from inbox.parked
   where ${selected}
   order by parked.number
   limit $5::integer
     for update`

// Their keys are due at once, also those that wait for a delay. In one order for everybody.
export const queueLetterKeys = `
  insert into inbox.parked_keys as known (consumer, topic_id, queue, events, due_at)
  select $1::text, one.topic_id, one.queue, count(*), clock_timestamp()
    from unnest($2::uuid[], $3::uuid[]) as one (topic_id, queue)
   group by one.topic_id, one.queue
   order by one.topic_id, one.queue
  on conflict (consumer, topic_id, queue) do update
     set events = known.events + excluded.events, due_at = least(known.due_at, excluded.due_at)`

export const queueLetters = `
  update inbox.parked event
     set state = 'parked', queue = one.queue, retries = 0, kills = 0, replay = true, finished_at = null
    from unnest($1::bigint[], $2::uuid[]) as one (number, queue)
   where event.number = one.number`

export const discardLetters = `
  update inbox.parked set state = 'discarded', finished_at = clock_timestamp() where number = any($1::bigint[])`
