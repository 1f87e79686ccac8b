import type { Client } from 'pg'
import { to as copyTo } from 'pg-copy-streams'

/** What a COPY to standard output sends, as one buffer: for a page that is bounded by its query. */
export async function copyOut(client: Client, sql: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  // The stream of pg-copy-streams yields Buffers unless an encoding is set.
  for await (const chunk of client.query(copyTo(sql)) as AsyncIterable<Buffer>) chunks.push(chunk)
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
}
