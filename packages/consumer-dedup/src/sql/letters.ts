// What a person does with the dead letters of a consumer. A selection is letters (numbers and ids of events, apart: an id
// may look like a number), a type and a code; what is null selects all.

const isLetter = `($2::bigint[] is null and $3::text[] is null or number = any($2::bigint[]) or event_id = any($3::text[]))`

const selected = `consumer = $1::text and state = 'dead' and ${isLetter}
     and ($4::text is null or type = $4::text) and ($5::text is null or code = $5::text)`

export const listLetters = `
  select number::text as number, state, event_id as id, source, type, topic, partition, "offset"::text as offset, key,
         attempts, kills, code, reason, stack, parked_at as "parkedAt", headers, payload
    from inbox.parked
   where consumer = $1::text and ${isLetter} and state = any($4::text[]) and number > $5::bigint
   order by parked.number
   limit $6::integer`

export const countLetters = `
  select type, code, count(*)::int as letters from inbox.parked where ${selected} group by type, code order by 3 desc, 1, 2`

export const newestLetter = `
  select coalesce(max(number), 0)::text as number from inbox.parked where consumer = $1::text`

// A page behind $6, up to $7: what was taken may be a dead letter again before the last page, and new ones may come.
export const takeLetters = `
  select number::text as number, topic_id::text as topic_id, partition, "offset"::text as offset, key
    from inbox.parked
   where ${selected} and number > $6::bigint and number <= $7::bigint
   order by parked.number
   limit $8::integer
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
     set state = 'parked', queue = one.queue, retries = 0, kills = 0, suspect = false, replay = true, finished_at = null
    from unnest($1::bigint[], $2::uuid[]) as one (number, queue)
   where event.number = one.number`

export const discardLetters = `
  update inbox.parked set state = 'discarded', finished_at = clock_timestamp() where number = any($1::bigint[])`
