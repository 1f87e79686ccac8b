import { OutboxError } from '@oncebox/core'
import type { WindowName } from '../position.js'

/** What each statement that takes or uses a snapshot proves beside it. */
export interface Anchor {
  readonly lifeToken: string
  readonly shard: number
  /** The epoch under which the relay reads: a higher one in the database is a new holder. */
  readonly epoch: number
  /** The window record on which `from` stands. */
  readonly window: WindowName
}

export interface AnchorRow {
  readonly snapshot: string
  readonly standby: boolean
  readonly alive: boolean
  readonly anchored: boolean
  readonly epoch: string | null
}

/**
 * A snapshot of now, and the proof that what the relay holds in memory is still true of this server: a primary
 * (a standby's snapshot does not list open transactions), the same life (no crash or promotion since), and the record
 * of the window before. Literals only, since it runs in one round trip with BEGIN and SET LOCAL.
 */
export const takeSnapshot = ({ lifeToken, shard, window }: Anchor): string => `
select pg_current_snapshot()::text as snapshot,
       pg_is_in_recovery() as standby,
       exists (select from outbox.life where token = '${lifeToken}') as alive,
       exists (select from outbox.windows
                where shard = ${shard} and generation = ${window.generation} and epoch = ${window.epoch}
                  and window_number = ${window.number}) as anchored,
       (select max(epoch) from outbox.claims where shard = ${shard}) as epoch`

/** @throws OutboxError RELAY_STANDBY_REFUSED, RELAY_LIFE_ENDED, RELAY_FENCED */
export function assertAnchored(row: AnchorRow | undefined, epoch: number): asserts row is AnchorRow {
  if (row === undefined)
    throw new OutboxError('RELAY_LIFE_ENDED', 'the database answered nothing to a snapshot')
  if (row.standby)
    throw new OutboxError('RELAY_STANDBY_REFUSED', 'the database is a standby (pg_is_in_recovery)')
  if (!row.alive)
    throw new OutboxError(
      'RELAY_LIFE_ENDED',
      'the life token is gone: the database has crashed or another server was promoted',
    )
  if (!row.anchored)
    throw new OutboxError(
      'RELAY_LIFE_ENDED',
      'the record of the last window is gone: another server answers, or the database was restored',
    )
  if (Number(row.epoch) !== epoch)
    throw new OutboxError('RELAY_FENCED', 'the shard has a new holder', {
      details: { epoch, newEpoch: Number(row.epoch) },
    })
}
