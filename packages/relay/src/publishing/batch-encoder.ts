import type { Compression } from '@oncebox/kafka'
import type { CopyRows } from '../reading/copy-rows.js'
import { EventHeaders } from './cloud-event-headers.js'
import type { EncodedBatch } from './encoded-batch.js'
import type { Exceptions } from './exceptions.js'
import { PageEncoding } from './page-encoding.js'
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
   * @param after Sequence number of the last event before this page; a row at or below it is refused (W6).
   * @throws OutboxError RELAY_ORDER_BROKEN
   */
  async encode(
    rows: CopyRows,
    after: bigint,
    exceptions: Exceptions,
    signal: AbortSignal,
  ): Promise<EncodedBatch> {
    const asked = new Set<string>()
    for (;;) {
      const page = new PageEncoding(rows, after, exceptions, asked, {
        routes: this.#routes,
        headers: this.#headers,
        compression: this.#compression,
        signal,
      })
      if (await page.run()) return page.batch
      rows.rewind()
    }
  }
}
