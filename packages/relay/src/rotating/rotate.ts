import pg, { type Client } from 'pg'
import { faultPoint } from '@oncebox/core'
import { bounded } from '../database-connections.js'

/** The tables of schema outbox that have slots. */
export type Relation = 'events' | 'windows' | 'heartbeats'

export interface RotationStep {
  readonly relation: Relation
  readonly retentionMs: number
  readonly slotMs: number
  readonly slotBytes: number
}

/** What became of a step. */
export interface Rotated {
  /** The slot that writers moved on to; null when they stay. */
  readonly advanced: number | null
  /** The slot that was emptied; null for none. */
  readonly emptied: number | null
  /** Slots that should be empty and are not. */
  readonly due: readonly number[]
  /** Shards that still need one of them. */
  readonly heldBy: readonly number[]
  /** Who has a lock on one of them. */
  readonly blockers: readonly string[]
}

interface RotatedRow {
  readonly advanced: number | null
  readonly emptied: number | null
  readonly due: readonly number[] | null
  readonly held_by: readonly number[]
  readonly blockers: readonly string[]
}

// Milliseconds as a rule. The files of a large slot are deleted before the answer comes, after the locks are given back.
const stepTimeoutMs = 120_000
const lockNotAvailable = '55P03'

/**
 * One step of outbox.rotate(), which decides and locks by itself. One round trip with BEGIN and COMMIT, so that no lock
 * is ever held while this process stands still. Not for a synchronous standby: what TRUNCATE loses in a failover is
 * emptied again, and readers would wait for it under the lock.
 * @returns Undefined when another process is at it.
 */
export async function rotate(client: Client, step: RotationStep): Promise<Rotated | undefined> {
  const { relation, retentionMs, slotMs, slotBytes } = step
  const sql = `begin isolation level read committed;
set local synchronous_commit = local;
select advanced, emptied, due, held_by, blockers
  from outbox.rotate('${relation}', ${retentionMs}, ${slotMs}, ${slotBytes});
commit`
  try {
    const answer = bounded(client, stepTimeoutMs, async () => await client.query(sql))
    answer.catch(() => undefined) // awaited below
    await faultPoint('relay.rotation.sent')
    // A query of several statements answers a list of results; the driver's types know only one.
    const results = (await answer) as unknown as readonly { readonly rows: readonly RotatedRow[] }[]
    const row = results[2]?.rows[0]
    if (row === undefined || row.due === null) return undefined
    const { advanced, emptied, due, held_by: heldBy, blockers } = row
    return { advanced, emptied, due, heldBy, blockers }
  } catch (error) {
    // A lost connection has rolled back already; the first error is the one to tell.
    await client.query('rollback').catch(() => undefined)
    if (!(error instanceof pg.DatabaseError) || error.code !== lockNotAvailable) throw error
    return { advanced: null, emptied: null, due: [], heldBy: [], blockers: [error.message] }
  }
}
