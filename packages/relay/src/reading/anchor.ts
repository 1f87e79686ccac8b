import { OutboxError } from '@oncebox/core'
import type { WindowName } from '../position.js'
import { parseSnapshot, type Snapshot } from './snapshot.js'

/** What each statement that takes or uses a snapshot proves beside it. */
export interface Anchor {
  readonly lifeToken: string
  readonly shard: number
  /** The epoch under which the relay reads: a higher one in the database is a new holder. */
  readonly epoch: number
  /** The window record on which `from` stands. */
  readonly window: WindowName
}

export interface SnapshotRow {
  readonly snapshot: string
  readonly standby: boolean
}

export interface ProofRow {
  readonly alive: boolean
  readonly anchored: boolean
  readonly epoch: string | null
}

/** A snapshot of now. A standby's does not list open transactions. */
export const selectSnapshot = `
select pg_current_snapshot()::text as snapshot, pg_is_in_recovery() as standby`

/**
 * The proof that what the relay holds in memory is still true of this server: the same life (no crash or promotion since),
 * and the record of the window before. It belongs into the transaction that takes the snapshot. Literals only, since it runs
 * in one round trip with other statements.
 */
export const selectProof = ({ lifeToken, shard, window }: Anchor): string => `
select exists (select from outbox.life where token = '${lifeToken}') as alive,
       exists (select from outbox.windows
                where shard = ${shard} and generation = ${window.generation} and epoch = ${window.epoch}
                  and window_number = ${window.number}) as anchored,
       (select max(epoch) from outbox.claims where shard = ${shard}) as epoch`

/** @throws OutboxError RELAY_STANDBY_REFUSED */
export function snapshotOf(row: SnapshotRow | undefined): Snapshot {
  if (row === undefined)
    throw new OutboxError('RELAY_LIFE_ENDED', 'the database answered nothing to a snapshot')
  if (row.standby)
    throw new OutboxError('RELAY_STANDBY_REFUSED', 'the database is a standby (pg_is_in_recovery)')
  return parseSnapshot(row.snapshot)
}

/** @throws OutboxError RELAY_LIFE_ENDED, RELAY_FENCED */
export function assertProven(row: ProofRow | undefined, epoch: number): void {
  if (row === undefined) throw new OutboxError('RELAY_LIFE_ENDED', 'the database answered nothing to a proof')
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
