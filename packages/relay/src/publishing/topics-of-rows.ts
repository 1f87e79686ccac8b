import { bounded, connectClient } from '../database-connections.js'
import type { OpenShard } from '../opening/open-shard.js'
import type { ResolvedRelayOptions } from '../options.js'

// Over all rows that are still there; asked at most once, by an incarnation that follows a position without its topics.
const topicsOfRowsTimeoutMs = 300_000

/** The topics of every row that the shard still has. Those of rows that are gone were proven before. */
export async function topicsOfRows(
  { db, name }: ResolvedRelayOptions,
  { condition }: OpenShard,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const client = await connectClient(db, `oncebox-relay ${name} topics`)
  const end = (): void => void client.end().catch(() => undefined)
  signal.addEventListener('abort', end, { once: true })
  try {
    signal.throwIfAborted()
    const where = condition === '' ? '' : `where ${condition}`
    const { rows } = await bounded(
      client,
      topicsOfRowsTimeoutMs,
      async () => await client.query<{ topic: string }>(`select distinct topic from outbox.events ${where}`),
    )
    return rows.map(({ topic }) => topic)
  } finally {
    signal.removeEventListener('abort', end)
    end()
  }
}
