// First positions. A row that is there already wins: another member of the group was faster.
export const insertPositions = `
  insert into inbox.positions (consumer, topic_id, topic, partition, next, in_hand)
  select $1::text, $2::uuid, $3::text, first.partition, first.next, first.next
    from unnest($4::integer[], $5::bigint[]) as first (partition, next)
  on conflict do nothing`
