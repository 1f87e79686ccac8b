// Of every topic that this consumer has positions in, topics of before included. Primary key prefix.
export const readAllPositions = `
  select topic, topic_id::text as topic_id, partition, next::text as next
    from inbox.positions
   where consumer = $1::text`
