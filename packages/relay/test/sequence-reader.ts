import type { Client } from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { CopyRows } from '../src/reading/copy-rows.js'
import { columns } from '../src/reading/read-window.js'
import type { PageReader } from '../src/reading/window-reader.js'
import { parseSnapshot } from '../src/reading/snapshot.js'
import type { OpenReader } from '../src/publishing/publish-shard.js'

/** The cursor that hand-written outboxes use: everything above the last sequence number. It is wrong, which is the point. */
export const sequenceReader: OpenReader = (client) => readBySequence(client, 'e.seq')

/** As a reader whose alias or cast made PostgreSQL sort by text. */
export const textOrderReader: OpenReader = (client) => readBySequence(client, 'e.seq::text')

const readBySequence = (client: Client, order: string): PageReader => {
  let last = 0n
  return {
    async read(_cursor, rowsMax) {
      const {
        rows: [row],
      } = await client.query<{ snapshot: string; newest: string | null }>(
        `select pg_current_snapshot()::text as snapshot,
                (select max(seq) from (select seq from outbox.events where seq > ${last} order by seq limit ${rowsMax}) page) as newest`,
      )
      if (row === undefined || row.newest === null) return undefined
      const chunks: Buffer[] = []
      const sql = `copy (select ${columns.map((name) => (name === 'headers' ? 'e.headers::text' : `e.${name}`)).join(', ')}
        from outbox.events e where seq > ${last} and seq <= ${row.newest} order by ${order}) to stdout (format binary)`
      for await (const chunk of client.query(copyTo(sql)) as AsyncIterable<Buffer>) chunks.push(chunk)
      last = BigInt(row.newest)
      const bytes = Buffer.concat(chunks)
      const snapshot = parseSnapshot(row.snapshot)
      return {
        rows: new CopyRows(bytes, columns.length),
        from: snapshot,
        to: snapshot,
        order: 'seq',
        mayBeLast: true,
        bytes: bytes.length,
        endedCount: 0,
      }
    },
  }
}
