import { migrateInbox } from '@oncebox/consumer-dedup'
import { fromPg, migrateOutbox } from '@oncebox/outbox'
import pg from 'pg'

/** Effects are only ever added, and nothing is unique there: a doubled effect shows. */
export const effectsTable = 'effects'

export async function prepareDatabase(url: string): Promise<void> {
  const pool = new pg.Pool({ connectionString: url })
  try {
    await migrateOutbox(fromPg(pool))
    await migrateInbox(fromPg(pool))
    await pool.query(
      `create table ${effectsTable} (number bigint generated always as identity, id text not null, key text, value integer not null, consumer text)`,
    )
  } finally {
    await pool.end()
  }
}
