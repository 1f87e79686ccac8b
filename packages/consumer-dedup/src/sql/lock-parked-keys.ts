/** How the statement begins that waits for whoever runs the first event of a key. */
export const waitsForKey = '/* oncebox waits for a key */'

// Whether one of the keys is parked. A statement of its own, after the mark, so that it sees what a zombie has committed
// meanwhile; FOR SHARE waits for whoever runs the first event of the key, and keeps the next one from beginning. A check
// before the mark, without the lock or from memory lost or reordered events. In one order for everybody.
export const lockParkedKeys = `
  ${waitsForKey} select queue::text as queue
    from inbox.parked_keys
   where consumer = $1::text and topic_id = $2::uuid and queue = any($3::uuid[])
   order by queue
     for share`
