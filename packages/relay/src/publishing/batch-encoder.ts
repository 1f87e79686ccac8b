import { OutboxError } from '@oncebox/core'
import type { Compression } from '@oncebox/kafka'
import type { CopyRows } from '../reading/copy-rows.js'
import { EventHeaders } from './cloud-event-headers.js'
import type { EncodedBatch } from './encoded-batch.js'
import type { Exceptions, Halt } from './exceptions.js'
import { PageEncoding } from './page-encoding.js'
import type { InTransactions } from './row-walk.js'
import type { Routes } from './routes.js'

/**
 * Turns rows into record batches: key and payload are copied from PostgreSQL's bytes into Kafka's, nothing that only
 * passes through is decoded. Tells apart what cannot be published.
 */
export class BatchEncoder {
  readonly #routes: Routes
  readonly #compression: Compression
  readonly #headers = new EventHeaders()

  constructor(routes: Routes, compression: Compression) {
    this.#routes = routes
    this.#compression = compression
  }

  /**
   * What is known of a topic may be old: before an event is refused for good, its topic is asked again whether it has
   * more partitions or a higher limit by now, once for the page.
   *
   * A page that cannot go on in the middle of a transaction which is to stay whole ends before it.
   *
   * @param after Sequence number of the last event before this page; a row at or below it is refused (W6).
   * @throws OutboxError RELAY_ORDER_BROKEN
   */
  async encode(
    rows: CopyRows,
    after: bigint,
    exceptions: Exceptions,
    signal: AbortSignal,
    transactions?: InTransactions,
  ): Promise<EncodedBatch> {
    const asked = new Set<string>()
    let halt: Halt | undefined
    for (let rowsMax = Number.POSITIVE_INFINITY; ;) {
      const page = new PageEncoding(rows, after, exceptions, asked, {
        transactions,
        rowsMax,
        routes: this.#routes,
        headers: this.#headers,
        compression: this.#compression,
        signal,
      })
      const isNew = await page.run()
      const { batch, stopsBehind } = page
      if (isNew && stopsBehind === undefined)
        return rowsMax === Number.POSITIVE_INFINITY ? batch : { ...batch, halt, whole: false }
      rows.rewind()
      if (!isNew || stopsBehind === undefined) continue
      rowsMax = stopsBehind
      halt = batch.halt ?? halt ?? (stopsBehind === 0 ? tooLarge(batch) : undefined)
    }
  }
}

const tooLarge = ({ rows, lastSeq, boundedBytes }: EncodedBatch): Halt => ({
  error: new OutboxError(
    'RELAY_TRANSACTION_TOO_LARGE',
    `a transaction has more than its first ${rows} events, and is to be kept whole`,
    { details: { events: rows, bytes: boundedBytes, seq: String(lastSeq) } },
  ),
  seq: lastSeq,
})
