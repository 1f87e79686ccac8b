import pg from 'pg'
import { migrateOutbox } from '@oncebox/outbox'

const connections = 2
const payloadBytes = 256
const keys = 1_000

/** Fills an outbox with `events` transactions of one row each, 256-byte payloads, a thousand keys. */
export async function fillBacklog(
  url: string,
  topic: string,
  events: number,
  say: (line: string) => void,
): Promise<void> {
  const startedMs = performance.now()
  await migrateOutbox(url)
  const share = Math.ceil(events / connections)
  await Promise.all(
    Array.from({ length: connections }, async (_, index) => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      await client.query('set synchronous_commit = off')
      await client.query(oneRowTransactions(topic, index * share + 1, Math.min(events, (index + 1) * share)))
      await client.end()
    }),
  )
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ events: number; transactions: number }>(
    'select count(*)::int as events, count(distinct txid)::int as transactions from outbox.events',
  )
  await client.query('checkpoint')
  await client.end()
  if (rows[0]?.events !== events || rows[0].transactions !== events)
    throw new Error(`filled ${JSON.stringify(rows[0])}, wanted ${events} of each`)
  say(
    `filled ${events.toLocaleString('en')} one-row transactions in ${((performance.now() - startedMs) / 1000).toFixed(0)} s`,
  )
}

// A procedure commits for itself: each row is a transaction, without a round trip for each.
const oneRowTransactions = (topic: string, from: number, to: number): string => `
do $$
begin
  for n in ${from}..${to} loop
    insert into outbox.events (bucket, id, source, topic, type, key, payload)
    values (outbox.bucket('key-' || n % ${keys}), outbox.uuid7(), 'bench', '${topic}', 'bench.happened', 'key-' || n % ${keys},
            convert_to(rpad('{"n":' || n || ',"filler":"', ${payloadBytes - 2}, 'x') || '"}', 'UTF8'));
    commit;
  end loop;
end $$`
