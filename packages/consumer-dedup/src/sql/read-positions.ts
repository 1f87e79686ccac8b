// Every partition of a topic that this consumer has a position in. Primary key prefix.
export const readPositions = `
  select partition, next::text as next, in_hand::text as in_hand
    from inbox.positions
   where consumer = $1::text and topic_id = $2::uuid`
