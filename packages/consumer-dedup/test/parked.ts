/** What the tests of parked keys share: how events are parked, and what waits. */
import type { ParkKeyOptions } from '@oncebox/consumer-dedup'
import type pg from 'pg'

export const inPlaceOnce = { attemptsMax: 1, backoff: { minMs: 1, maxMs: 1 } }
export const oneByOne = { batch: { eventsMax: 1 } }
export const parking: ParkKeyOptions = { delaysMs: [20, 40, 60], attemptsMax: 100, inPlace: inPlaceOnce }

/** Values of what waits, in the order in which it will run. */
export async function waiting(pool: Pick<pg.Pool, 'query'>): Promise<number[]> {
  const { rows } = await pool.query<{ value: number }>(
    `select (convert_from(payload, 'UTF8')::jsonb ->> 'value')::int as value
       from inbox.parked where state in ('parked', 'retrying') order by number`,
  )
  return rows.map(({ value }) => value)
}

/** No key is left behind, and no event in the queue of a key. */
export async function nothingWaits(pool: Pick<pg.Pool, 'query'>): Promise<boolean> {
  const { rows } = await pool.query<{ keys: number }>('select count(*)::int as keys from inbox.parked_keys')
  return rows[0]?.keys === 0 && (await waiting(pool)).length === 0
}
