// Low-water marks rise. A position that somebody moves at this moment is left for the next time.
export const raiseLowWaters = `
  with free as (
         select held.topic_id, held.partition, one.low_at
           from unnest($2::uuid[], $3::integer[], $4::timestamptz[], $5::bigint[])
                  as one (topic_id, partition, low_at, next)
           join inbox.positions held
             on held.consumer = $1::text and held.topic_id = one.topic_id and held.partition = one.partition
          where held.next >= one.next and (held.low_at is null or held.low_at < one.low_at)
            for update of held skip locked)
  update inbox.positions held
     set low_at = free.low_at
    from free
   where held.consumer = $1::text and held.topic_id = free.topic_id and held.partition = free.partition`
