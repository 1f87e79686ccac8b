import { OutboxError } from '@oncebox/core'
import type { ProofRow, SnapshotRow } from './anchor.js'
import { CopyRows } from './copy-rows.js'
import { columns } from './read-window.js'

/** The columns of outbox.read_live, in this order: those of a page, and what the first row says about the snapshot. */
const liveColumns = [...columns, 'snapshot', 'standby', 'alive', 'anchored', 'epoch'] as const
const at = Object.fromEntries(liveColumns.map((name, index) => [name, index])) as Readonly<
  Record<(typeof liveColumns)[number], number>
>

/** What outbox.read_live has answered. */
export interface LiveAnswer {
  readonly snapshot: SnapshotRow
  /** Undefined where the snapshot is the one that was known to hold nothing: then there are no rows, either. */
  readonly proof: ProofRow | undefined
  readonly rows: CopyRows
}

/** @throws OutboxError RELAY_LIFE_ENDED */
export function readAnswer(bytes: Buffer): LiveAnswer {
  const rows = new CopyRows(bytes, liveColumns.length)
  if (!rows.next()) throw new OutboxError('RELAY_LIFE_ENDED', 'the database answered nothing to a poll')
  const startOf = (name: keyof typeof at): number => rows.starts[at[name]] ?? -1
  const isTrue = (name: keyof typeof at): boolean => startOf(name) >= 0 && bytes[startOf(name)] === 1
  const snapshot = {
    snapshot: bytes.toString('latin1', startOf('snapshot'), rows.ends[at.snapshot]),
    standby: isTrue('standby'),
  }
  const epoch = startOf('epoch') < 0 ? null : String(bytes.readBigInt64BE(startOf('epoch')))
  const proof =
    startOf('alive') < 0 ? undefined : { alive: isTrue('alive'), anchored: isTrue('anchored'), epoch }
  rows.beginBehind()
  return { snapshot, proof, rows }
}
