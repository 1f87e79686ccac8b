/** The events of one `outbox.transaction`, held back until just before COMMIT, when the key's row lock is held. */
import { OutboxError } from '@oncebox/core'
import { completeRows, type EventRow, type PendingRow } from './event-row.js'

const eventsMax = 100_000
const bytesMax = 256 * 1024 * 1024

/** Open while `work` runs. At most 100,000 events and 256 MiB of payloads. */
export class EventBuffer {
  readonly #rows: PendingRow[] = []
  #bytes = 0
  #open = true

  /** @throws OutboxError OUTBOX_TRANSACTION_ENDED when `work` has returned */
  assertOpen(): void {
    if (!this.#open)
      throw new OutboxError('OUTBOX_TRANSACTION_ENDED', 'emit was called after work had returned')
  }

  /** @throws OutboxError OUTBOX_TRANSACTION_TOO_LARGE */
  add(row: PendingRow): void {
    if (row instanceof Promise)
      row.catch(() => undefined) // thrown by close, to the caller of transaction
    else this.#bytes += row.payload?.byteLength ?? 0
    if (this.#rows.length === eventsMax || this.#bytes > bytesMax) {
      throw new OutboxError(
        'OUTBOX_TRANSACTION_TOO_LARGE',
        `one transaction emits at most ${eventsMax} events and ${bytesMax} bytes`,
      )
    }
    this.#rows.push(row)
  }

  close(): void {
    this.#open = false
  }

  /** The events in the order of their emits, each one validated. */
  rows(): readonly EventRow[] | Promise<readonly EventRow[]> {
    return completeRows(this.#rows)
  }
}
