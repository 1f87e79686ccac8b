import { OutboxError } from '@oncebox/core'

/**
 * A PostgreSQL snapshot, `xmin:xmax:xip,...`: which transactions it sees. Top-level transaction ids only; 64 bits, so
 * they never wrap.
 * @see https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-PG-SNAPSHOT
 */
export interface Snapshot {
  /** The form PostgreSQL reads and writes; safe to put into SQL, it was checked to hold digits, colons and commas only. */
  readonly text: string
  readonly xmin: bigint
  readonly xmax: bigint
  /** Transactions that were open, ascending. */
  readonly open: readonly bigint[]
}

const form = /^\d{1,20}:\d{1,20}:(\d{1,20}(,\d{1,20})*)?$/

/** @throws OutboxError KAFKA_PROGRESS_CORRUPT when the text is not a snapshot. */
export function parseSnapshot(text: string): Snapshot {
  if (!form.test(text)) {
    throw new OutboxError('KAFKA_PROGRESS_CORRUPT', 'a recorded snapshot is not of the form xmin:xmax:xip', {
      details: { length: text.length },
    })
  }
  const [xmin = '', xmax = '', open = ''] = text.split(':')
  return {
    text,
    xmin: BigInt(xmin),
    xmax: BigInt(xmax),
    open: open === '' ? [] : open.split(',').map(BigInt),
  }
}

/** Before the first transaction that could have emitted: the one invented bound that is safe, no event lies before it. */
export const beginning = parseSnapshot('3:3:')

/**
 * Transactions that were open in `from` and have ended in `to`. Their rows, if they committed, belong to the window.
 * Computed here and passed as literals, because filtering after the index read cost 24-32 ms a poll behind one open
 * bulk writer, and 0.4 ms this way.
 */
export function endedSince(from: Snapshot, to: Snapshot): readonly bigint[] {
  const stillOpen = new Set(to.open)
  return from.open.filter((txid) => txid < to.xmax && !stillOpen.has(txid))
}

/** Whether a window from `from` to `to` can hold any row at all. */
export function isEmptyWindow(from: Snapshot, to: Snapshot): boolean {
  return from.xmax === to.xmax && endedSince(from, to).length === 0
}

/** Whether a snapshot shows what this transaction has committed, as pg_visible_in_snapshot says. */
export function isVisible(txid: bigint, { xmin, xmax, open }: Snapshot): boolean {
  if (txid < xmin) return true
  return txid < xmax && !open.includes(txid)
}
