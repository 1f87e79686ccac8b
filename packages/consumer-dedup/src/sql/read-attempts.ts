// The attempts of a partition's events that have failed before. Index attempts_partition.
export const readAttempts = `
  select source, id::text as id, attempts, kills
    from inbox.attempts
   where consumer = $1::text and topic_id = $2::uuid and partition = $3::integer`
