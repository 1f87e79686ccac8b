import pg from 'pg'

/** Cuts an outbox that no relay has begun into shards: with nothing published there is nothing to close first. */
export async function evenShards(client: pg.Client, count: number): Promise<void> {
  const shards = Array.from({ length: count }, (_, shard) => ({
    shard,
    lane: 'default',
    bucketFrom: Math.ceil((shard * 256) / count),
    bucketTo: Math.ceil(((shard + 1) * 256) / count) - 1,
  }))
  await client.query('update outbox.shard_map set map = $1 where generation = 1', [
    JSON.stringify({ shards, lanes: {} }),
  ])
  await client.query('vacuum outbox.shard_map')
}

/** A transaction that has emitted an event and does not end before it is disposed of; then it is rolled back. */
export async function openWriteTransaction(url: string, topic: string): Promise<AsyncDisposable> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('begin')
  await client.query(
    `insert into outbox.events (bucket, id, source, topic, type, key, payload)
     values (outbox.bucket('open'), outbox.uuid7(), 'bench', $1, 'bench.open', 'open', '{}')`,
    [topic],
  )
  return { [Symbol.asyncDispose]: async () => await client.end() }
}

/**
 * Dead rows in the tables of the outbox that grow, as PostgreSQL's statistics have them. Not counted: life and shard_map have one row, which
 * is written anew when the server has restarted, and when this benchmark sets the number of shards.
 */
export async function deadTuples(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ dead: number }>(
    `select coalesce(sum(n_dead_tup), 0)::int as dead from pg_stat_all_tables where schemaname in ('outbox', 'pg_toast') and relname not in ('life', 'shard_map')
     and (schemaname = 'outbox' or relid in
       (select reltoastrelid from pg_class where relnamespace = 'outbox'::regnamespace and reltoastrelid <> 0))`,
  )
  return rows[0]?.dead ?? 0
}
