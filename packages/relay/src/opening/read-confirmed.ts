import type { Client } from 'pg'
import type { WindowKey } from '../publishing/confirmation.js'

// One index probe per shard of the map: see outbox.confirmed().
const readRow = `
select epoch, window_number from outbox.confirmed() where shard = $1 and generation = $2 and epoch is not null`

/** The newest window that was published for good, as the database knows it; undefined when it knows of none. */
export async function readConfirmed(
  client: Client,
  shard: number,
  generation: number,
): Promise<WindowKey | undefined> {
  const { rows } = await client.query<{ epoch: string; window_number: string }>(readRow, [shard, generation])
  const [row] = rows
  return row && { generation, epoch: Number(row.epoch), number: Number(row.window_number) }
}
