/**
 * Every handler appends what it did to the table `effects`, in the transaction of the effect itself. The table has no
 * unique constraint: an effect that happened twice is there twice, and the audit sees it.
 */
import type { Knex } from 'knex'
import type { ClientBase } from 'pg'

interface TellsVersion {
  readonly type: string
  readonly payload: { readonly orderId: string; readonly version: number }
}

/** With a knex transaction. */
export async function recordEffect(trx: Knex.Transaction, { type, payload }: TellsVersion): Promise<void> {
  await trx('effects').insert({ type, order_id: payload.orderId, version: payload.version })
}

/** With a `pg` client. */
export async function recordEffectPg(client: ClientBase, { type, payload }: TellsVersion): Promise<void> {
  await client.query('insert into effects (type, order_id, version) values ($1, $2, $3)', [
    type,
    payload.orderId,
    payload.version,
  ])
}
